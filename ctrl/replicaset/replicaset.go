package replicaset

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ownership"
	"seatrial.dev/seatrial/ctrl/podset"
)

// burstMax is how many pods one plan creates or deletes (Kubernetes'
// BurstReplicas).
const burstMax = 500

// Controller is the controller of one of the two kinds.
type Controller struct {
	face face
}

// New returns the controller of ReplicaSets.
func New() *Controller { return &Controller{replicaSetFace()} }

// NewReplicationController returns the controller of ReplicationControllers.
func NewReplicationController() *Controller { return &Controller{replicationControllerFace()} }

// Name is "replicaset-controller" or "replication-controller".
func (c *Controller) Name() string { return c.face.controller }

// Kinds are the sets and their pods.
func (c *Controller) Kinds() []kinds.Kind { return []kinds.Kind{c.face.kind, kinds.Pod} }

// Reconcile plans what brings one set nearer to its spec.
func (c *Controller) Reconcile(now time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	o, rs := c.face.of(v, key)
	if rs == nil {
		return p
	}
	s := c.see(v, o, rs)
	s.claim(&p)
	if rs.DeletionTimestamp == nil {
		s.adjust(now, &p)
	}
	status := s.status(now, &p)
	removeFailure(&status)
	s.writeStatus(&p, status)
	return p
}

// Refused tells why a pod could not be created or deleted: an event, and the
// condition ReplicaFailure.
func (c *Controller) Refused(now time.Time, v *view.View, key kinds.Ref, w api.Request, err error) (p ctrl.Plan) {
	o, rs := c.face.of(v, key)
	if rs == nil || w.Ref.Kind != kinds.Pod || errors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return p
	}
	reason, doing := "FailedCreate", "creating"
	switch w.Verb {
	case api.VerbCreate:
	case api.VerbDelete:
		reason, doing = "FailedDelete", "deleting"
	default:
		return p
	}
	p.Note(api.Warning(o, c.face.controller, reason, fmt.Sprintf("Error %s: %v", doing, err)))
	s := c.see(v, o, rs)
	s.claim(&ctrl.Plan{})
	status := s.status(now, &p)
	setFailure(&status, now, reason, err.Error())
	s.writeStatus(&p, status)
	return p
}

// scene is what one set is and has.
type scene struct {
	c        *Controller
	v        *view.View
	object   kinds.Object
	rs       *appsv1.ReplicaSet // object, read as a ReplicaSet
	selector labels.Selector
	pods     *view.Group   // all that it controls, finished ones included
	adopted  []*corev1.Pod // active ones about to be adopted
	released map[*corev1.Pod]bool
}

func (c *Controller) see(v *view.View, o kinds.Object, rs *appsv1.ReplicaSet) *scene {
	return &scene{c: c, v: v, object: o, rs: rs, selector: selectorOf(rs.Spec.Selector), pods: v.PodsOf(rs.UID)}
}

func (s *scene) matches(l map[string]string) bool { return s.selector.Matches(labels.Set(l)) }

// claim adopts and releases pods. Only active pods are looked at, as Kubernetes
// does it: a finished pod keeps the controller it had.
func (s *scene) claim(p *ctrl.Plan) {
	if s.pods.ActiveMatching(s.matches) != s.pods.Active() && s.rs.DeletionTimestamp == nil {
		s.released = map[*corev1.Pod]bool{}
		for pod := range s.pods.Pods() {
			if view.Active(pod) && !s.matches(pod.Labels) {
				s.released[pod] = true
				p.Write(ownership.ReleaseWrite(pod, s.rs.UID))
			}
		}
	}
	if s.selector.Empty() {
		return
	}
	for pod := range s.v.OrphanPods(s.rs.Namespace) {
		if view.Active(pod) && ownership.Claim(s.rs, pod, s.matches(pod.Labels)) == ownership.Adopt {
			s.adopted = append(s.adopted, pod)
			p.Write(ownership.AdoptWrite(s.object, pod))
		}
	}
}

// count is the number of active pods once the plan so far is carried out.
func (s *scene) count() int { return s.pods.Active() - len(s.released) + len(s.adopted) }

// active are the active pods once the plan so far is carried out.
func (s *scene) active() []*corev1.Pod {
	list := make([]*corev1.Pod, 0, s.count())
	for pod := range s.pods.Pods() {
		if view.Active(pod) && !s.released[pod] {
			list = append(list, pod)
		}
	}
	return append(list, s.adopted...)
}

// adjust creates or deletes pods until there are as many as wanted.
func (s *scene) adjust(now time.Time, p *ctrl.Plan) {
	switch missing := replicasWanted(s.rs) - s.count(); {
	case missing > 0:
		for range min(missing, burstMax) {
			p.WriteNoted(api.Create(podset.New(&s.rs.Spec.Template, s.object)),
				s.normal("SuccessfulCreate", "Created pod: "+ctrl.NameOfWritten))
		}
	case missing < 0:
		for _, pod := range podset.Victims(now, s.active(), s.onNode(), min(-missing, burstMax)) {
			p.WriteNoted(api.Delete(kinds.RefOf(pod), pod.UID), s.normal("SuccessfulDelete", "Deleted pod: "+pod.Name))
		}
	}
}

func (s *scene) normal(reason, message string) api.Note {
	return api.Normal(s.object, s.c.face.controller, reason, message)
}

// onNode counts the active pods, of this set and of those with the same
// controller (the sets of one Deployment), on a node.
func (s *scene) onNode() func(string) int {
	n := map[string]int{}
	tally := func(uid *appsv1.ReplicaSet) {
		for pod := range s.v.PodsOf(uid.UID).Pods() {
			if view.Active(pod) {
				n[pod.Spec.NodeName]++
			}
		}
	}
	if parent := ownership.ControllerUID(s.rs); parent != "" && s.c.face.kind == kinds.ReplicaSet {
		for o := range s.v.Owned(parent) {
			if sibling, ok := o.(*appsv1.ReplicaSet); ok && ownership.ControllerUID(sibling) == parent {
				tally(sibling)
			}
		}
	} else {
		tally(s.rs)
	}
	return func(node string) int { return n[node] }
}
