package ctrltest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
)

// Start is the time at which every transcript starts.
var Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// World is a store, a view of it and some controllers.
type World struct {
	Now         time.Time
	Store       *store.Store
	View        *view.View
	Controllers []ctrl.Controller
	API         *api.API
	Vouched     bool                    // every node's heartbeats are vouched for
	Refuse      func(api.Request) error // asked before every write of a plan; may be nil
	queues      []*ctrl.Queue
	telling     bool
	lastIP      int
}

// New returns a world that holds nothing but the namespace "default".
func New(controllers ...ctrl.Controller) *World {
	w := &World{Now: Start, Store: store.New(1 << 16), View: view.New(), Controllers: controllers}
	a, err := api.New(w.Store, rand.New(rand.NewPCG(1, 2)), api.DefaultConfig())
	if err != nil {
		panic(err)
	}
	w.API = a
	for range controllers {
		w.queues = append(w.queues, ctrl.NewQueue())
	}
	w.feed(w.Put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}))
	return w
}

// Run plays every transcript in dir, each with controllers of its own.
func Run(t *testing.T, dir string, controllers func() []ctrl.Controller) {
	t.Helper()
	datadriven.Walk(t, dir, func(t *testing.T, path string) {
		w := New(controllers()...)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return w.do(t, d) })
	})
}

func (w *World) do(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "load":
		return w.load(t, d.Input)
	case "pods":
		return w.pods(t, d)
	case "set":
		return w.set(t, arg(d, 0), d.Input)
	case "remove":
		ref := parseRef(t, arg(d, 0))
		e, err := w.Store.Delete(ref, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		return w.feed(e)
	case "advance":
		by, err := time.ParseDuration(arg(d, 0))
		if err != nil {
			t.Fatal(err)
		}
		w.Now = w.Now.Add(by)
		return "now " + w.Now.Sub(Start).String()
	case "reconcile":
		return w.reconcile(t, d)
	case "refuse":
		return w.refuse(t, d)
	case "show":
		return w.show(t, d)
	case "kubelet":
		return w.kubelet(t, d)
	case "run":
		return w.run(t, d)
	}
	t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
	return ""
}

func arg(d *datadriven.TestData, i int) string {
	if i >= len(d.CmdArgs) {
		return ""
	}
	return d.CmdArgs[i].Key
}

// Put puts an object into the store and feeds the view.
func (w *World) Put(o kinds.Object) store.Event {
	ref := kinds.RefOf(o)
	if ref.Kind.Info().Namespaced && ref.Namespace == "" {
		o.SetNamespace("default")
		ref = kinds.RefOf(o)
	}
	kinds.Default(o)
	if o.GetUID() == "" {
		o.SetUID(defaultUID(ref))
	}
	if o.GetGeneration() == 0 {
		o.SetGeneration(1)
	}
	if t := o.GetCreationTimestamp(); t.IsZero() {
		o.SetCreationTimestamp(metav1.NewTime(w.Now))
	}
	e, err := w.Store.Create(o)
	if err != nil {
		panic(err)
	}
	return e
}

func (w *World) load(t *testing.T, input string) string {
	docs, err := kinds.Decode("transcript", absolute([]byte(input)))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, doc := range docs {
		out = append(out, w.feed(w.Put(doc.Object)))
	}
	return strings.Join(slices.DeleteFunc(out, func(s string) bool { return s == "" }), "\n")
}

// feed gives an event to the view and the queues, and names the keys asked for.
func (w *World) feed(e store.Event) string {
	w.View.Apply(e)
	return w.dispatch(e)
}

// dispatch lets the controllers ask for keys because of an event.
func (w *World) dispatch(e store.Event) string {
	var out []string
	for i, c := range w.Controllers {
		if !slices.Contains(c.Kinds(), e.Ref.Kind) {
			continue
		}
		c.Keys(w.View, e, func(ref kinds.Ref) {
			w.queues[i].Add(ref, e.RV)
			line := ref.String()
			if len(w.Controllers) > 1 {
				line = c.Name() + ": " + line
			}
			out = append(out, line)
		})
	}
	return strings.Join(out, "\n")
}

func (w *World) set(t *testing.T, name, input string) string {
	ref := parseRef(t, name)
	old := w.Store.Get(ref)
	if old == nil {
		t.Fatalf("set %s: there is none", name)
	}
	patch, err := yaml.YAMLToJSON([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	patch = absolute(patch)
	before, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	after, err := jsonpatch.MergePatch(before, patch)
	if err != nil {
		t.Fatal(err)
	}
	o := ref.Kind.Info().New()
	if err := json.Unmarshal(after, o); err != nil {
		t.Fatal(err)
	}
	kinds.Default(o)
	if specChanged(before, after) {
		o.SetGeneration(old.GetGeneration() + 1)
	}
	e, err := w.Store.Update(o, 0)
	if err != nil {
		t.Fatal(err)
	}
	return w.feed(e)
}

func specChanged(before, after []byte) bool {
	var a, b struct{ Spec any }
	if json.Unmarshal(before, &a) != nil || json.Unmarshal(after, &b) != nil {
		return true
	}
	x, _ := json.Marshal(a.Spec)
	y, _ := json.Marshal(b.Spec)
	return string(x) != string(y)
}

func parseRef(t *testing.T, s string) kinds.Ref {
	parts := strings.Split(s, "/")
	k, ok := kinds.ByName(parts[0])
	if !ok || len(parts) < 2 || len(parts) > 3 {
		t.Fatalf("%q is not kind/namespace/name", s)
	}
	ref := kinds.Ref{Kind: k, Key: kinds.Key{Name: parts[len(parts)-1]}}
	if len(parts) == 3 {
		ref.Namespace = parts[1]
	}
	return ref
}

func (w *World) controllerOf(t *testing.T, d *datadriven.TestData) ctrl.Controller {
	if d.HasArg("by") {
		var name string
		d.ScanArgs(t, "by", &name)
		for _, c := range w.Controllers {
			if c.Name() == name {
				return c
			}
		}
		t.Fatalf("%s: no controller %q", d.Pos, name)
	}
	return w.Controllers[0]
}

func (w *World) reconcile(t *testing.T, d *datadriven.TestData) string {
	p := w.controllerOf(t, d).Reconcile(w.Now, w.View, parseRef(t, arg(d, 0)))
	return w.printPlan(&p, d.HasArg("verbose"))
}

func (w *World) refuse(t *testing.T, d *datadriven.TestData) string {
	l, ok := w.controllerOf(t, d).(ctrl.Listener)
	if !ok {
		t.Fatalf("%s: the controller is no ctrl.Listener", d.Pos)
	}
	ref := parseRef(t, arg(d, 0))
	p := w.Controllers[0].Reconcile(w.Now, w.View, ref)
	for _, r := range p.Writes {
		if r.Verb.String() == arg(d, 1) && r.Subresource == "" {
			p = l.Refused(w.Now, w.View, ref, r, fmt.Errorf("%s", d.Input))
			return w.printPlan(&p, false)
		}
	}
	t.Fatalf("%s: the plan has no %s", d.Pos, arg(d, 1))
	return ""
}

func (w *World) show(t *testing.T, d *datadriven.TestData) string {
	o := w.Store.Get(parseRef(t, arg(d, 0)))
	if o == nil {
		return "none"
	}
	at := ""
	if d.HasArg("at") {
		d.ScanArgs(t, "at", &at)
	}
	var out []string
	for _, f := range flatten(o) {
		if f.path == at || strings.HasPrefix(f.path, at+".") || strings.HasPrefix(f.path, at+"[") || at == "" {
			out = append(out, f.path+": "+f.value)
		}
	}
	return strings.Join(out, "\n")
}
