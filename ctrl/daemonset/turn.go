package daemonset

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ownership"
	"seatrial.dev/seatrial/ctrl/podset"
	"seatrial.dev/seatrial/ctrl/revision"
)

// templateGeneration is the label of old by which daemon pods name their template.
const templateGeneration = "pod-template-generation"

// turn is one call of Reconcile.
type turn struct {
	now  time.Time
	v    *view.View
	ds   *appsv1.DaemonSet // read only
	p    *ctrl.Plan
	hash string // of the present template

	pods    map[string][]*corev1.Pod // by node, oldest first
	desired int32                    // nodes that suit
	doomed  map[*corev1.Pod]bool     // to be deleted
	deletes []*corev1.Pod
	status  appsv1.DaemonSetStatus
}

func begin(now time.Time, v *view.View, ds *appsv1.DaemonSet, p *ctrl.Plan) *turn {
	t := &turn{now: now, v: v, ds: ds, p: p, pods: map[string][]*corev1.Pod{}, doomed: map[*corev1.Pod]bool{}}
	selector := selectorOf(ds)
	take := func(pod *corev1.Pod) {
		switch ownership.Claim(ds, pod, selector.Matches(labels.Set(pod.Labels))) {
		case ownership.Adopt:
			p.Write(ownership.AdoptWrite(ds, pod))
		case ownership.Release:
			p.Write(ownership.ReleaseWrite(pod, ds.UID))
		case ownership.Keep:
			node := nodeOf(pod)
			t.pods[node] = append(t.pods[node], pod)
		}
	}
	for pod := range v.PodsOf(ds.UID).Pods() {
		take(pod)
	}
	for pod := range v.OrphanPods(ds.Namespace) {
		take(pod)
	}
	return t
}

func oldestFirst(a, b *corev1.Pod) int {
	return cmp.Or(a.CreationTimestamp.Time.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
}

func (t *turn) play() {
	if !t.p.Empty() {
		return // pods change hands first; their events bring the key back
	}
	t.status = *t.ds.Status.DeepCopy()
	history := revision.Sync(t.v, t.ds, selectorOf(t.ds), &t.ds.Spec.Template, t.ds.Status.CollisionCount, t.p)
	if history.Collided {
		n := deref(t.ds.Status.CollisionCount) + 1
		t.status.CollisionCount = &n
		t.writeStatus()
		return
	}
	t.hash = revision.Hash(history.Today)
	t.manage()
	if rolls(t.ds) {
		t.roll()
	}
	for _, pod := range t.deletes[:min(len(t.deletes), burstMax)] {
		t.p.WriteNoted(api.Delete(kinds.RefOf(pod), pod.UID), api.Normal(t.ds, component, "SuccessfulDelete", "Deleted pod: "+pod.Name))
	}
	history.Clean(t.ds.Spec.RevisionHistoryLimit, t.inUse, t.p)
	t.writeStatus()
}

func (t *turn) inUse(r *appsv1.ControllerRevision) bool {
	for pod := range t.v.PodsOf(t.ds.UID).Pods() {
		if pod.Labels[revision.HashLabel] == revision.Hash(r) {
			return true
		}
	}
	return false
}

// manage walks the nodes: it creates what is missing, deletes what should not be,
// and counts.
func (t *turn) manage() {
	s := &t.status
	s.ObservedGeneration = t.ds.Generation
	s.DesiredNumberScheduled, s.CurrentNumberScheduled, s.NumberMisscheduled = 0, 0, 0
	s.NumberReady, s.NumberAvailable, s.UpdatedNumberScheduled = 0, 0, 0
	created := 0
	for n := range view.All[*corev1.Node](t.v, kinds.Node) {
		pods := t.pods[n.Name]
		slices.SortFunc(pods, oldestFirst)
		start, stay := fits(&t.ds.Spec.Template.Spec, n)
		switch {
		case start:
			s.DesiredNumberScheduled++
			if len(pods) > 0 {
				t.tally(pods[0])
			} else if created < burstMax {
				created++
				t.p.WriteNoted(api.Create(t.newPod(n.Name)),
					api.Normal(t.ds, component, "SuccessfulCreate", "Created pod: "+ctrl.NameOfWritten))
			}
		case len(pods) > 0:
			s.NumberMisscheduled++
		}
		if stay {
			t.tidy(pods, n.Name)
		} else {
			t.remove(pods...)
		}
	}
	s.NumberUnavailable = s.DesiredNumberScheduled - s.NumberAvailable
	t.desired = s.DesiredNumberScheduled
	t.removeStrays()
}

// tally counts the pod that stands for a node.
func (t *turn) tally(pod *corev1.Pod) {
	t.status.CurrentNumberScheduled++
	if wait, ready := t.availableIn(pod); ready {
		t.status.NumberReady++
		if wait <= 0 {
			t.status.NumberAvailable++
		} else {
			t.p.LookAgain(wait)
		}
	}
	if pod.Labels[revision.HashLabel] == t.hash {
		t.status.UpdatedNumberScheduled++
	}
}

func (t *turn) availableIn(pod *corev1.Pod) (time.Duration, bool) {
	return podset.AvailableIn(pod, time.Duration(t.ds.Spec.MinReadySeconds)*time.Second, t.now)
}

func (t *turn) available(pod *corev1.Pod) bool {
	wait, ready := t.availableIn(pod)
	return ready && wait <= 0
}

// tidy deletes a node's finished pods, and all but the oldest of the others.
func (t *turn) tidy(pods []*corev1.Pod, node string) {
	running := 0
	for _, pod := range pods {
		switch {
		case pod.DeletionTimestamp != nil:
		case pod.Status.Phase == corev1.PodFailed:
			t.p.Note(api.Warning(t.ds, component, "FailedDaemonPod",
				fmt.Sprintf("Found failed daemon pod %s/%s on node %s, will try to kill it", pod.Namespace, pod.Name, node)))
			t.remove(pod)
		case pod.Status.Phase == corev1.PodSucceeded:
			t.p.Note(api.Normal(t.ds, component, "SucceededDaemonPod",
				fmt.Sprintf("Found succeeded daemon pod %s/%s on node %s, will try to delete it", pod.Namespace, pod.Name, node)))
			t.remove(pod)
		default:
			if running++; running > 1 {
				t.remove(pod)
			}
		}
	}
}

func (t *turn) remove(pods ...*corev1.Pod) {
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil && !t.doomed[pod] {
			t.doomed[pod] = true
			t.deletes = append(t.deletes, pod)
		}
	}
}

// removeStrays deletes the unassigned pods that were made for a node that is gone;
// those that stand on one are package podgc's part.
func (t *turn) removeStrays() {
	for pod := range t.v.PodsOf(t.ds.UID).Pods() {
		if node := nodeOf(pod); pod.Spec.NodeName == "" && node != "" && t.v.Node(node) == nil {
			t.remove(pod)
		}
	}
}

// roll deletes old pods: those that are not available in any case, and as many others
// as may be unavailable.
func (t *turn) roll() {
	room := t.maxUnavailable()
	var candidates []*corev1.Pod
	for n := range view.All[*corev1.Node](t.v, kinds.Node) {
		pods := t.pods[n.Name]
		if start, stay := fits(&t.ds.Spec.Template.Spec, n); len(pods) == 0 && !start || !stay {
			continue
		}
		live := slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil || t.doomed[p] })
		switch {
		case len(live) != 1:
			room-- // being replaced
		case live[0].Labels[revision.HashLabel] == t.hash:
			if !t.available(live[0]) {
				room--
			}
		case !t.available(live[0]):
			t.remove(live[0])
			room--
		default:
			candidates = append(candidates, live[0])
		}
	}
	t.remove(candidates[:max(0, min(room, len(candidates)))]...)
}

// maxUnavailable is how many nodes may be without an available pod: at least one.
func (t *turn) maxUnavailable() int {
	r := t.ds.Spec.UpdateStrategy.RollingUpdate
	if r == nil {
		return 1
	}
	n := resolve(r.MaxUnavailable, t.desired)
	if n == 0 {
		n = resolve(r.MaxSurge, t.desired)
	}
	return max(1, n)
}

func resolve(n *intstr.IntOrString, total int32) int {
	switch {
	case n == nil:
		return 0
	case n.Type == intstr.Int:
		return int(n.IntVal)
	}
	percent, err := strconv.Atoi(strings.TrimSuffix(n.StrVal, "%"))
	if err != nil {
		return 0
	}
	return (percent*int(total) + 99) / 100
}

func (t *turn) newPod(node string) *corev1.Pod {
	p := podset.New(&t.ds.Spec.Template, t.ds)
	if p.Labels == nil {
		p.Labels = map[string]string{}
	}
	p.Labels[revision.HashLabel] = t.hash
	p.Labels[templateGeneration] = "1"
	if g, ok := t.ds.Annotations[appsv1.DeprecatedTemplateGeneration]; ok {
		p.Labels[templateGeneration] = g
	}
	bindTo(&p.Spec, node)
	for _, d := range daemonTolerations(p.Spec.HostNetwork) {
		same := func(x corev1.Toleration) bool { return x.MatchToleration(&d) }
		if !slices.ContainsFunc(p.Spec.Tolerations, same) {
			p.Spec.Tolerations = append(p.Spec.Tolerations, d)
		}
	}
	return p
}

func (t *turn) writeStatus() {
	if !equality.Semantic.DeepEqual(&t.ds.Status, &t.status) {
		c := *t.ds
		c.Status = t.status
		t.p.Write(api.UpdateStatus(&c))
	}
}

func deref(p *int32) int32 {
	if p == nil {
		return 0
	}
	return *p
}
