package volumes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// TestTranscripts plays the files of testdata; -rewrite writes their output.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &session{state: New(), objects: map[kinds.Ref]kinds.Object{}, pods: map[string]*corev1.Pod{}}
		datadriven.RunTest(t, path, s.play)
	})
}

// session is a state with the cluster it is of.
type session struct {
	state   *State
	objects map[kinds.Ref]kinds.Object
	pods    map[string]*corev1.Pod // that wait, by name
	writes  []api.Request          // of reservations
	rv      int
}

func (s *session) play(t *testing.T, d *datadriven.TestData) string {
	var name, node string
	d.MaybeScanArgs(t, "pod", &name)
	d.MaybeScanArgs(t, "node", &node)
	switch d.Cmd {
	case "set": // pods with a node are placed, those without wait
		for _, o := range decode(t, d.Input) {
			s.set(o)
		}
	case "remove":
		for _, o := range decode(t, d.Input) {
			s.remove(o)
		}
	case "ask": // each pod that waits, or one, by node and plugin
		return s.ask(t, d, name)
	case "reserve":
		return s.reserve(name, node)
	case "write": // what the reservations asked for
		for _, w := range s.writes {
			s.set(w.Object)
		}
		s.writes = nil
	case "bound":
		ok, failed := s.state.Bound(s.pods[name])
		return fmt.Sprintf("%t %s\n", ok, failed)
	case "unreserve":
		s.state.Unreserve(s.pods[name])
		s.writes = nil
	case "may": // whom setting or removing an object may help
		return s.may(t, d)
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	return ""
}

func decode(t *testing.T, text string) []kinds.Object {
	docs, err := kinds.Decode("", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var out []kinds.Object
	for _, d := range docs {
		o := d.Object
		if info := d.Ref.Kind.Info(); info.Namespaced && o.GetNamespace() == "" {
			o.SetNamespace("default")
		}
		if o.GetUID() == "" {
			o.SetUID(types.UID("uid-" + o.GetName()))
		}
		kinds.Default(o)
		out = append(out, o)
	}
	return out
}

func (s *session) event(o kinds.Object) store.Event {
	ref := kinds.RefOf(o)
	e := store.Event{Type: store.Added, Ref: ref, Object: o}
	if old := s.objects[ref]; old != nil {
		e.Type, e.Old = store.Modified, old
	}
	return e
}

func (s *session) set(o kinds.Object) {
	s.rv++
	o.SetResourceVersion(fmt.Sprint(s.rv))
	if pod, ok := o.(*corev1.Pod); ok {
		if pod.Spec.NodeName == "" {
			s.pods[pod.Name] = pod
			return
		}
		s.state.Place(pod, pod.Spec.NodeName)
	}
	s.state.See(s.event(o))
	s.objects[kinds.RefOf(o)] = o
}

func (s *session) remove(o kinds.Object) {
	ref := kinds.RefOf(o)
	old := s.objects[ref]
	delete(s.objects, ref)
	if pod, ok := old.(*corev1.Pod); ok {
		s.state.Remove(pod, pod.Spec.NodeName)
		return
	}
	s.state.See(store.Event{Type: store.Deleted, Ref: ref, Object: old, Old: old})
}

func (s *session) nodes() []*corev1.Node {
	var out []*corev1.Node
	for _, o := range s.objects {
		if n, ok := o.(*corev1.Node); ok {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b *corev1.Node) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func text(r *Refusal) string {
	if r == nil {
		return "ok"
	}
	kind := "unschedulable"
	switch {
	case r.Broken:
		kind = "error"
	case r.Hopeless:
		kind = "hopeless"
	}
	return fmt.Sprintf("%s %s: %s", r.Plugin, kind, strings.Join(r.Reasons, "; "))
}

// firstRefusal is what the plugins say of a node, in their order.
func firstRefusal(a *Ask, n *corev1.Node, with, without []*corev1.Pod) *Refusal {
	for _, plugin := range []string{Restrictions, Limits, Binding, Zone} {
		if r := a.Filter(plugin, n, with, without); r != nil {
			return r
		}
	}
	return nil
}

func (s *session) ask(t *testing.T, d *datadriven.TestData, only string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.pods)) {
		if only != "" && name != only {
			continue
		}
		pod := s.pods[name]
		if !Concerns(pod) {
			fmt.Fprintf(&b, "%s: no concern\n", name)
			continue
		}
		on := All
		if d.HasArg("plugins") {
			var names string
			d.ScanArgs(t, "plugins", &names)
			on = SetOf(strings.Split(names, "+"))
		}
		a, refused := s.state.Ask(pod, on)
		if refused != nil {
			fmt.Fprintf(&b, "%s: %s\n", name, text(refused))
			continue
		}
		var with, without []*corev1.Pod
		for _, o := range decode(t, d.Input) {
			if placed, ok := s.objects[kinds.RefOf(o)].(*corev1.Pod); ok {
				without = append(without, placed)
			} else {
				with = append(with, o.(*corev1.Pod))
			}
		}
		for _, n := range s.nodes() {
			r := firstRefusal(a, n, with, without)
			fmt.Fprintf(&b, "%s on %s: %s", name, n.Name, text(r))
			if r == nil && a.Scored() {
				fmt.Fprintf(&b, ", score %d", a.Score(n, DefaultShape()))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func (s *session) reserve(name, on string) string {
	a, refused := s.state.Ask(s.pods[name], All)
	if refused != nil {
		return text(refused) + "\n"
	}
	node := s.objects[kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: on}}].(*corev1.Node)
	writes, refused := a.Reserve(node)
	if refused != nil {
		return text(refused) + "\n"
	}
	s.writes = append(s.writes, writes...)
	var b strings.Builder
	for _, w := range writes {
		fmt.Fprintf(&b, "%s at version %s", w, w.RV)
		if pv, ok := w.Object.(*corev1.PersistentVolume); ok {
			fmt.Fprintf(&b, ": claim %s/%s %s", pv.Spec.ClaimRef.Namespace, pv.Spec.ClaimRef.Name, pv.Spec.ClaimRef.UID)
		}
		annotations := w.Object.GetAnnotations()
		for _, k := range slices.Sorted(maps.Keys(annotations)) {
			fmt.Fprintf(&b, ", %s=%s", k, annotations[k])
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (s *session) may(t *testing.T, d *datadriven.TestData) string {
	var b strings.Builder
	for _, o := range decode(t, d.Input) {
		e := s.event(o)
		if d.HasArg("gone") {
			e.Type, e.Old = store.Deleted, nil
		}
		for _, name := range slices.Sorted(maps.Keys(s.pods)) {
			for _, plugin := range []string{Restrictions, Limits, Binding, Zone} {
				if s.state.May(plugin, s.pods[name], e) {
					fmt.Fprintf(&b, "%s %s may help %s after %s\n", e.Type, e.Ref, name, plugin)
				}
			}
		}
	}
	return b.String()
}
