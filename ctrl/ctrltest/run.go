package ctrltest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
)

// turnsMax bounds the turns of one run: controllers that have not settled by then
// work against each other.
const turnsMax = 2000

// run lets the controllers take turns until their queues are empty.
func (w *World) run(t *testing.T, d *datadriven.TestData) string {
	var b strings.Builder
	verbose := d.HasArg("verbose")
	for turns := 0; ; {
		before := turns
		for i := range w.Controllers {
			for w.turn(&b, i, verbose) {
				if turns++; turns > turnsMax {
					t.Fatalf("%s: not settled after %d turns\n%s", d.Pos, turnsMax, b.String())
				}
			}
		}
		if turns == before {
			break
		}
	}
	if b.Len() == 0 {
		return "nothing to do"
	}
	return b.String()
}

// turn plays one key of a controller; it says whether there was one.
func (w *World) turn(b *strings.Builder, i int, verbose bool) bool {
	ref, cause, ok := w.queues[i].Pop(w.Now, w.View.RV())
	if !ok {
		return false
	}
	w.apply(b, i, ref, cause, w.Controllers[i].Reconcile(w.Now, w.View, ref), verbose)
	return true
}

// Turn plays one key of a controller, by its number; it says whether there was one.
func (w *World) Turn(i int) bool {
	var b strings.Builder
	return w.turn(&b, i, false)
}

// Restart is a crash of all controllers: new ones, with nothing but a fresh list.
func (w *World) Restart(controllers ...ctrl.Controller) {
	w.Controllers, w.queues, w.View = controllers, nil, view.New()
	if w.Vouched {
		w.Vouch()
	}
	for range controllers {
		w.queues = append(w.queues, ctrl.NewQueue())
	}
	var objects []kinds.Object
	for _, k := range kinds.All() {
		for o := range w.Store.List(k.Kind, "") {
			objects = append(objects, o)
		}
	}
	for _, e := range w.View.Replace(w.Store.RV(), slices.Values(objects)) {
		w.dispatch(e)
	}
}

// apply carries a plan out as a driver does.
func (w *World) apply(b *strings.Builder, i int, ref kinds.Ref, cause uint64, p ctrl.Plan, verbose bool) {
	q, c := w.queues[i], w.Controllers[i]
	failed, wrote := w.write(b, &p, c, ref, verbose)
	if failed >= 0 {
		q.Retry(w.Now, ref, w.Store.RV(), cause)
		return
	}
	for _, n := range p.Notes {
		b.WriteString(printNote(n) + "\n")
	}
	var rv uint64
	if wrote {
		rv = w.Store.RV()
	}
	if p.Failed != nil {
		fmt.Fprintf(b, "failed: %v\n", p.Failed)
		q.Retry(w.Now, ref, rv, cause)
		return
	}
	q.Done(ref, rv)
	if p.Again > 0 {
		q.AddAt(w.Now.Add(p.Again), ref, cause)
	}
}

// write applies a plan's writes up to the first that fails, whose index it returns
// (or -1).
func (w *World) write(b *strings.Builder, p *ctrl.Plan, c ctrl.Controller, ref kinds.Ref, verbose bool) (failed int, wrote bool) {
	for i, r := range p.Writes {
		line := r.String()
		var lines []string
		if r.Object != nil && verbose {
			lines = w.changes(r, true)
		}
		o, err := w.request(r)
		if r.Verb == api.VerbDelete && isNotFound(err) {
			err = nil
		}
		if err == nil && r.Ref.Name == "" {
			line = strings.Replace(line, "*", strings.TrimPrefix(o.GetName(), r.Object.GetGenerateName()), 1)
		}
		b.WriteString(line + "\n")
		for _, l := range lines {
			b.WriteString("  " + l + "\n")
		}
		if err != nil {
			fmt.Fprintf(b, "  refused: %v\n", err)
			w.tell(b, r, c, ref, err, verbose)
			return i, wrote
		}
		wrote = true
		w.catchUp()
		for _, n := range p.NotesOf(i, o) {
			b.WriteString("  " + printNote(n) + "\n")
		}
	}
	return -1, wrote
}

// tell asks a Listener about a refused write of key's plan.
func (w *World) tell(b *strings.Builder, r api.Request, c ctrl.Controller, key kinds.Ref, err error, verbose bool) {
	l, ok := c.(ctrl.Listener)
	if !ok || w.telling {
		return
	}
	w.telling = true
	defer func() { w.telling = false }()
	p := l.Refused(w.Now, w.View, key, r, err)
	w.write(b, &p, c, key, verbose)
	for _, n := range p.Notes {
		b.WriteString("  " + printNote(n) + "\n")
	}
}

func (w *World) request(r api.Request) (kinds.Object, error) {
	if w.Refuse != nil {
		if err := w.Refuse(r); err != nil {
			return nil, err
		}
	}
	return w.API.Do(w.Now, r)
}

func isNotFound(err error) bool {
	var s interface{ Status() metav1.Status }
	return errors.As(err, &s) && s.Status().Reason == metav1.StatusReasonNotFound
}

// catchUp feeds what was written to the view and the queues.
func (w *World) catchUp() {
	events, err := w.Store.Since(w.View.RV())
	if err != nil {
		panic(err)
	}
	for _, e := range append([]store.Event(nil), events...) {
		w.feed(e)
	}
}

// kubelet plays the node agents, pod by pod in the order of their names: those that
// are being deleted go; the next fail=N of the others fail, the next succeed=N
// succeed, and up to ready=N of those that are not ready (all, without any of these)
// come to be so.
func (w *World) kubelet(t *testing.T, d *datadriven.TestData) string {
	left := map[string]int{"ready": 1 << 30}
	if len(d.CmdArgs) > 0 {
		left["ready"] = 0
	}
	for _, a := range d.CmdArgs {
		n, err := strconv.Atoi(a.Vals[0])
		if err != nil {
			t.Fatal(err)
		}
		left[a.Key] = n
	}
	var pods []*corev1.Pod
	for p := range view.All[*corev1.Pod](w.View, kinds.Pod) {
		pods = append(pods, p)
	}
	var out []string
	for _, p := range pods {
		said, err := "", error(nil)
		switch {
		case p.DeletionTimestamp != nil:
			said, err = w.leave(p)
		case !view.Active(p):
		case left["fail"] > 0:
			left["fail"]--
			said, err = p.Name+" failed", w.end(p, corev1.PodFailed, 1)
		case left["succeed"] > 0:
			left["succeed"]--
			said, err = p.Name+" succeeded", w.end(p, corev1.PodSucceeded, 0)
		case !view.Ready(p) && left["ready"] > 0:
			left["ready"]--
			said, err = p.Name+" is ready", w.makeReady(p)
		}
		if err != nil {
			t.Fatal(err)
		}
		if said != "" {
			out = append(out, said)
		}
	}
	return strings.Join(out, "\n")
}

// leave ends a pod that is being deleted; one with finalizers stays for them.
func (w *World) leave(p *corev1.Pod) (string, error) {
	if len(p.Finalizers) == 0 {
		e, err := w.Store.Delete(kinds.RefOf(p), nil, 0)
		if err != nil {
			return "", err
		}
		w.feed(e)
		return p.Name + " is gone", nil
	}
	c := kinds.Clone(p)
	c.DeletionGracePeriodSeconds = new(int64)
	if !view.Finished(c) {
		c.Status.Phase = corev1.PodFailed
	}
	return p.Name + " has ended", w.store(c)
}

func (w *World) end(p *corev1.Pod, phase corev1.PodPhase, code int32) error {
	c := kinds.Clone(p)
	c.Status.Phase, c.Status.Conditions = phase, nil
	c.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: metav1.NewTime(w.Now)}}}}
	return w.store(c)
}

func (w *World) makeReady(p *corev1.Pod) error {
	c := kinds.Clone(p)
	if c.Spec.NodeName == "" {
		c.Spec.NodeName = nodeFor(c)
	}
	w.lastIP++
	c.Status.Phase, c.Status.PodIP = corev1.PodRunning, "10.0.0."+strconv.Itoa(w.lastIP)
	c.Status.PodIPs = []corev1.PodIP{{IP: c.Status.PodIP}}
	c.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(w.Now)}}
	return w.store(c)
}

// nodeFor is the node that a daemon pod was made for, "n1" for any other pod.
func nodeFor(p *corev1.Pod) string {
	if a := p.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		for _, t := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
			for _, f := range t.MatchFields {
				return f.Values[0]
			}
		}
	}
	return "n1"
}

func (w *World) store(o kinds.Object) error {
	e, err := w.Store.Update(o, 0)
	if err == nil {
		w.feed(e)
	}
	return err
}
