package check

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/scenarios"
)

// TestIncremental: a judge comes to the same verdicts at the same times as one
// that evaluates every expression as written at every settled moment, and what it
// evaluates instead gives the same value. rapid prints how to repeat a failure.
func TestIncremental(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const end = 40 * time.Second
		scn := &scenarios.Scenario{File: "s.yaml", Duration: end}
		for i := range rapid.IntRange(1, 6).Draw(t, "checks") {
			from := time.Duration(rapid.IntRange(0, 20).Draw(t, "from")) * time.Second
			c := scenarios.Check{Name: fmt.Sprint(i), Mode: scenarios.Mode(rapid.IntRange(1, 3).Draw(t, "mode")),
				Expr: drawBool(t, 2), From: from, To: from + time.Duration(rapid.IntRange(0, 20).Draw(t, "length"))*time.Second}
			if c.Mode == scenarios.AtEnd {
				c.From, c.To = 0, end
			}
			scn.Checks = append(scn.Checks, c)
		}
		j, err := New(scn)
		if err != nil {
			t.Fatalf("%v", err)
		}
		s := store.New(8)
		j.Watch(s)
		naive := newNaive(t, scn, s)
		for now := time.Duration(0); ; now += time.Duration(rapid.IntRange(1, 5).Draw(t, "step")) * time.Second {
			settleBefore(t, j, naive, now)
			if now >= end {
				break
			}
			for range rapid.IntRange(0, 4).Draw(t, "changes") {
				if e, ok := drawChange(t, s); ok {
					j.Observe(e)
				}
			}
			settleBoth(t, j, naive, now)
		}
		if at, more := j.Next(); more {
			t.Fatalf("a boundary is left at %v", at)
		}
	})
}

// settleBefore settles at the boundaries before now, or up to the end.
func settleBefore(t *rapid.T, j *Judge, n *naive, now time.Duration) {
	for {
		at, ok := j.Next()
		if !ok || at >= now && now < n.scn.Duration {
			return
		}
		settleBoth(t, j, n, at)
	}
}

func settleBoth(t *rapid.T, j *Judge, n *naive, now time.Duration) {
	j.Settle(now)
	n.settle(now)
	for i, c := range j.checks {
		got, want := j.Results()[i], n.results[i]
		if c.decided != (n.decided[i]) || c.decided && (got.Held != want.Held || got.At != want.At) {
			t.Fatalf("at %v: %s %s\n got decided=%v held=%v at=%v saw=%s\nwant decided=%v held=%v at=%v",
				now, c.Mode, c.Expr, c.decided, got.Held, got.At, got.Saw, n.decided[i], want.Held, want.At)
		}
		if c.open && !c.decided {
			v, _, err := c.fast.prog.Eval(j.scope)
			w, werr := n.eval(i)
			if (err != nil) != (werr != nil) || err == nil && types.Equal(v, w) != types.True {
				t.Fatalf("at %v: %s\n evaluated as %s\n got %v %v\nwant %v %v", now, c.Expr, c.fast.text, v, err, w, werr)
			}
		}
	}
}

// naive is the judge that the real one must agree with.
type naive struct {
	scn     *scenarios.Scenario
	lang    *language
	scope   *scope
	exprs   []*expression
	decided []bool
	results []scenarios.Result
}

func newNaive(t *rapid.T, scn *scenarios.Scenario, s *store.Store) *naive {
	n := &naive{scn: scn, scope: newScope(), decided: make([]bool, len(scn.Checks)), results: make([]scenarios.Result, len(scn.Checks))}
	var err error
	if n.lang, err = newLanguage(n.scope); err != nil {
		t.Fatal(err)
	}
	n.scope.lang, n.scope.store = n.lang, s
	for _, c := range scn.Checks {
		e, errs := n.lang.compile(c.Expr)
		if errs != nil {
			t.Fatalf("%s: %v", c.Expr, errs)
		}
		n.exprs = append(n.exprs, e)
	}
	return n
}

// eval evaluates an expression as it was written, with nothing kept.
func (n *naive) eval(i int) (ref.Val, error) {
	n.scope.lists = [kinds.Count]*list{}
	clear(n.scope.services)
	v, _, err := n.exprs[i].prog.Eval(n.scope)
	if err != nil && strings.Contains(err.Error(), "internal error") {
		panic(err)
	}
	return v, err
}

func (n *naive) settle(now time.Duration) {
	n.scope.now = now
	for i, c := range n.scn.Checks {
		if c.Mode == scenarios.AtEnd {
			c.From = c.To
		}
		if n.decided[i] || now < c.From {
			continue
		}
		v, err := n.eval(i)
		holds := err == nil && v == types.True
		if holds == (c.Mode == scenarios.Always) && now < c.To {
			continue
		}
		n.decided[i] = true
		n.results[i] = scenarios.Result{Check: c, Held: holds, At: now}
	}
}

// drawBool makes a condition.
func drawBool(t *rapid.T, depth int) string {
	if depth > 0 && rapid.Bool().Draw(t, "deeper") {
		a, b := drawBool(t, depth-1), drawBool(t, depth-1)
		return rapid.SampledFrom([]string{"(" + a + " && " + b + ")", "(" + a + " || " + b + ")", "!(" + a + ")", "(" + a + " ? " + b + " : true)"}).Draw(t, "op")
	}
	v := rapid.SampledFrom([]string{"p", "x"}).Draw(t, "variable")
	list := drawList(t, v)
	switch rapid.IntRange(0, 6).Draw(t, "form") {
	case 0:
		return list + ".size() " + drawCompare(t)
	case 1:
		return "size(" + list + ") * 2 - 1 " + drawCompare(t)
	case 2:
		return list + ".all(" + v + ", " + drawPredicate(t, v) + ")"
	case 3:
		return list + ".exists(" + v + ", " + drawPredicate(t, v) + ")"
	case 4:
		return list + ".exists_one(" + v + ", " + drawPredicate(t, v) + ")"
	case 5:
		return rapid.SampledFrom([]string{`ready("service/default/web")`, `ready("service/default/" + "db")`, `restarts("pod/default/a")`,
			`nodes.size()`, `get("pod/default/a").status.containerStatuses[0].restartCount`, `int(t) / 7`,
			`get("pod/default/" + "b").status.containerStatuses.size()`}).Draw(t, "value") + " " + drawCompare(t)
	}
	return rapid.SampledFrom([]string{`nodes.all(n, pods.filter(p, p.spec.nodeName == n.metadata.name).size() < 3)`,
		`["a", "b"].exists(a, pods.exists(p, p.metadata.name == a))`, `pods.map(p, p.spec.nodeName).all(n, nodes.exists(m, m.metadata.name == n))`,
		`pods.filter(pods, pods.status.phase == "Running").size() > 1`, `get("pod/default/a") == null`,
		`pods.all(p, get("node/" + p.spec.nodeName) != null)`, `pods.exists(p, restarts("pod/" + p.metadata.namespace + "/" + p.metadata.name) > 1)`,
		`nodes.exists(n, pods.all(p, p.spec.nodeName == n.metadata.name))`}).Draw(t, "nested")
}

func drawCompare(t *rapid.T) string {
	return fmt.Sprintf("%s %d", rapid.SampledFrom([]string{"==", ">=", "<", "!="}).Draw(t, "compare"), rapid.IntRange(0, 5).Draw(t, "number"))
}

func drawList(t *rapid.T, v string) string {
	list := "pods"
	for range rapid.IntRange(0, 2).Draw(t, "filters") {
		list += ".filter(" + v + ", " + drawPredicate(t, v) + ")"
	}
	return list
}

func drawPredicate(t *rapid.T, v string) string {
	p := rapid.SampledFrom([]string{
		`x.status.phase == "Running"`, `x.metadata.labels["app"] == "web"`, `has(x.status.podIP)`, `"app" in x.metadata.labels`,
		`x.status.containerStatuses.exists(c, c.restartCount > 1)`, `x.status.containerStatuses.all(c, c.ready)`,
		`10 / int(x.metadata.labels[?"n"].orValue("2")) >= 5`, `x.metadata.name in ["a", "c"]`, `condition(x, "Ready") == "True"`,
		`x.metadata.namespace == "default" && x.spec.nodeName != ""`, `true`, `1e10 > 2.0`,
		`x.status.containerStatuses[0].restartCount == 1`, `get("pod/default/a") != x`,
		`t > 7`, `nodes.exists(n, n.metadata.name == x.spec.nodeName)`, `pods.size() > 2`, `x.metadata.?labels.n.orValue("1") == "1"`,
	}).Draw(t, "predicate")
	return replaceVariable(p, v)
}

// replaceVariable puts the variable for x where x begins a name.
func replaceVariable(p, v string) string {
	p = strings.ReplaceAll(p, "(x", "("+v)
	p = strings.ReplaceAll(p, " x", " "+v)
	if strings.HasPrefix(p, "x.") {
		p = v + p[1:]
	}
	return p
}

// drawChange writes to the store.
func drawChange(t *rapid.T, s *store.Store) (store.Event, bool) {
	ns := rapid.SampledFrom([]string{"default", "other"}).Draw(t, "namespace")
	var o kinds.Object
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		o = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "node")}}
	case 1:
		o = drawSlice(t, ns)
	default:
		o = drawPod(t, ns)
	}
	var e store.Event
	var err error
	switch r := kinds.RefOf(o); {
	case rapid.IntRange(0, 3).Draw(t, "delete") == 0:
		if s.Get(r) == nil {
			return e, false
		}
		e, err = s.Delete(r, nil, 0)
	case s.Get(r) == nil:
		e, err = s.Create(o)
	default:
		e, err = s.Update(o, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e, true
}

func drawPod(t *rapid.T, ns string) kinds.Object {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "pod")}}
	p.Spec.NodeName = rapid.SampledFrom([]string{"", "n1", "n2", "n3"}).Draw(t, "on")
	p.Status.Phase = rapid.SampledFrom([]corev1.PodPhase{corev1.PodPending, corev1.PodRunning}).Draw(t, "phase")
	if app := rapid.SampledFrom([]string{"", "web", "db"}).Draw(t, "app"); app != "" {
		p.Labels = map[string]string{"app": app, "n": rapid.SampledFrom([]string{"0", "1", "many"}).Draw(t, "n")}
	}
	if rapid.Bool().Draw(t, "started") {
		p.Status.PodIP = "10.0.0.1"
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Ready: rapid.Bool().Draw(t, "ready"), RestartCount: rapid.Int32Range(0, 2).Draw(t, "restarts")}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	return p
}

func drawSlice(t *rapid.T, ns string) kinds.Object {
	s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: rapid.SampledFrom([]string{"s1", "s2"}).Draw(t, "slice"),
		Labels: map[string]string{discoveryv1.LabelServiceName: rapid.SampledFrom([]string{"web", "db"}).Draw(t, "service")}}}
	for range rapid.IntRange(0, 3).Draw(t, "endpoints") {
		ready := rapid.SampledFrom([]*bool{nil, new(bool), ptrTrue()}).Draw(t, "endpoint ready")
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.0.0.%d", rapid.IntRange(1, 4).Draw(t, "ip"))},
			Conditions: discoveryv1.EndpointConditions{Ready: ready}})
	}
	return s
}

func ptrTrue() *bool { b := true; return &b }
