package extender

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/sched"
)

// program is an extender: what it answers by the URL's last element, and what it was
// asked.
type program struct {
	*httptest.Server
	answers map[string]func(question []byte) any
	asked   []string
}

// start runs a program. A string answer is sent as it is, an int is a status.
func start(t *testing.T, answers map[string]func(question []byte) any) *program {
	p := &program{answers: answers}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verb := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		question, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		p.asked = append(p.asked, verb)
		switch a := p.answers[verb](question).(type) {
		case nil:
			<-r.Context().Done() // it does not answer until it is left
		case int:
			w.WriteHeader(a)
		case string:
			_, _ = io.WriteString(w, a)
		default:
			_ = json.NewEncoder(w).Encode(a)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// always answers the same.
func always(a any) func([]byte) any { return func([]byte) any { return a } }

// bench is a scheduler that asks programs.
type bench struct {
	t   *testing.T
	s   *sched.Scheduler
	now time.Time
	rv  uint64
}

func newBench(t *testing.T, extenders ...sched.Extender) *bench {
	cfg := sched.DefaultConfig()
	for i := range extenders {
		if extenders[i].Timeout == 0 {
			extenders[i].Timeout = 10 * time.Second
		}
	}
	cfg.Extenders = extenders
	require.ErrorContains(t, cfg.Check(), "nobody here can ask it")
	client, err := New(extenders)
	require.NoError(t, err)
	cfg.Asker = client
	require.NoError(t, cfg.Check())
	b := &bench{t: t, s: sched.New(cfg), now: time.Unix(1e9, 0)}
	for _, name := range []string{"a", "b", "c"} {
		b.see(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("4Gi"), corev1.ResourcePods: resource.MustParse("10")}}})
	}
	return b
}

func (b *bench) see(o kinds.Object) {
	b.rv++
	b.s.See(b.now, store.Event{Type: store.Modified, Ref: kinds.RefOf(o), Object: o, RV: b.rv}, 0)
}

func newPod(name, node string, priority int32, cpu string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)},
		Spec: corev1.PodSpec{NodeName: node, Priority: &priority, Containers: []corev1.Container{{Name: "c", Image: "i",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}}}}}}
	kinds.Default(p)
	return p
}

// decide decides on a new pod.
func (b *bench) decide(pod *corev1.Pod) sched.Decision {
	b.see(pod)
	return b.again()
}

func (b *bench) again() sched.Decision {
	got, _, ok := b.s.Next(b.now)
	require.True(b.t, ok, "no pod is to be decided on")
	return b.s.Decide(b.now, got)
}

// outcome is the condition and the event that the scheduler writes.
func (b *bench) outcome() (condition *corev1.PodCondition, notes []string) {
	for _, w := range b.s.Take() {
		if p, ok := w.Req.Object.(*corev1.Pod); ok && w.Req.Subresource == api.SubStatus {
			condition = view.Condition(p, corev1.PodScheduled)
		}
		for _, n := range w.Notes {
			notes = append(notes, n.Reason+": "+n.Message)
		}
	}
	return condition, notes
}

func of(p *program) sched.Extender {
	return sched.Extender{URLPrefix: p.URL + "/scheduler/", Filter: "filter", Weight: 1}
}

// only is an answer that leaves some nodes.
func only(nodes []string, failed, hopeless map[string]string) func([]byte) any {
	return always(extenderv1.ExtenderFilterResult{NodeNames: &nodes, FailedNodes: failed, FailedAndUnresolvableNodes: hopeless})
}

func TestFilterAndPrioritize(t *testing.T) {
	var got extenderv1.ExtenderArgs
	first := start(t, map[string]func([]byte) any{"filter": func(q []byte) any {
		require.NoError(t, json.Unmarshal(q, &got))
		return extenderv1.ExtenderFilterResult{Nodes: &corev1.NodeList{Items: got.Nodes.Items[1:]}, FailedNodes: map[string]string{"a": "too far"}}
	}})
	second := start(t, map[string]func([]byte) any{
		"filter": func(q []byte) any {
			got = extenderv1.ExtenderArgs{}
			require.NoError(t, json.Unmarshal(q, &got))
			return extenderv1.ExtenderFilterResult{NodeNames: got.NodeNames}
		},
		"prioritize": always(extenderv1.HostPriorityList{{Host: "c", Score: 10}, {Host: "nowhere", Score: 10}}),
	})
	e, f := of(first), of(second)
	f.NodeCacheable, f.Prioritize, f.Weight = true, "prioritize", 3
	b := newBench(t, e, f)
	pod := newPod("p", "", 0, "1")
	x := b.s.Explain(b.now, pod)
	require.Equal(t, "c", x.Chosen)
	require.Equal(t, "too far", x.Nodes[2].Reasons[0])
	d := b.decide(pod)
	require.Equal(t, "c", d.Node)
	require.Equal(t, 2, d.Feasible)
	require.Equal(t, x.Nodes[0].Total, d.Score)
	require.Equal(t, x.Nodes[1].Total+3*100, d.Score, "the extender's 10, as 100, three times")
	require.Equal(t, &[]string{"b", "c"}, got.NodeNames, "the second is asked of what the first leaves, by name")
	require.Equal(t, "p", got.Pod.Name)
	require.Nil(t, got.Nodes)
}

func TestRefusals(t *testing.T) {
	p := start(t, map[string]func([]byte) any{"filter": only([]string{}, map[string]string{"a": "is full", "b": "is full"}, map[string]string{"b": "is broken"})})
	e := of(p)
	e.NodeCacheable = true
	b := newBench(t, e)
	d := b.decide(newPod("p", "", 0, "1"))
	require.Empty(t, d.Node)
	require.Equal(t, 2, d.Hopeless, "b, and c of which nothing is said")
	c, notes := b.outcome()
	require.Equal(t, corev1.PodReasonUnschedulable, c.Reason)
	require.Equal(t, "0/3 nodes are available: 1 is broken, 1 is full. preemption: 0/3 nodes are available: "+
		"1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.", c.Message)
	require.Equal(t, []string{"FailedScheduling: " + c.Message}, notes)
	p.answers["filter"] = only([]string{"a"}, nil, nil)
	b.now = b.now.Add(time.Minute)
	b.see(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "any"}})
	require.Equal(t, "a", b.again().Node, "whatever happens, the pod is tried again")
}

// TestErrors: whatever goes wrong with an extender, the pod says so, waits for its
// back-off and is placed once the extender answers; one that may be ignored is.
func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		answer any
		want   string
	}{
		"no answer":         {nil, "has not answered within 50ms"},
		"an error's status": {http.StatusInternalServerError, "failed filter with extender at URL URL/scheduler/filter, code 500"},
		"garbage":           {"<html>", "answers with what is not the JSON of a *v1.ExtenderFilterResult: invalid character '<'"},
		"half an answer":    {`{"NodeNames": ["a"`, "unexpected end of JSON input"},
		"nothing":           {"", "unexpected end of JSON input"},
		"other types":       {`{"NodeNames": 7}`, "cannot unmarshal number"},
		"an error":          {extenderv1.ExtenderFilterResult{Error: "out of order"}, "out of order"},
		"a strange node":    {`{"NodeNames": ["z"]}`, `claims a filtered node "z" which is not found in the input node list`},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, map[string]func([]byte) any{"filter": always(c.answer)})
			e := of(p)
			e.NodeCacheable = true
			if c.answer == nil {
				e.Timeout = 50 * time.Millisecond
			}
			b := newBench(t, e)
			d := b.decide(newPod("p", "", 0, "1"))
			require.Empty(t, d.Node)
			require.Contains(t, d.Failed, strings.ReplaceAll(c.want, "URL/", p.URL+"/"))
			cond, notes := b.outcome()
			require.Equal(t, corev1.ConditionFalse, cond.Status)
			require.Equal(t, corev1.PodReasonSchedulerError, cond.Reason)
			require.Equal(t, d.Failed, cond.Message)
			require.Equal(t, []string{"FailedScheduling: " + d.Failed}, notes)
			require.Equal(t, d.Failed, b.s.Explain(b.now, newPod("p", "", 0, "1")).Message)

			_, _, ok := b.s.Next(b.now)
			require.False(t, ok, "the pod is in its back-off")
			at, ok := b.s.Due()
			require.True(t, ok)
			require.Equal(t, b.now.Add(time.Second), at)
			b.now, p.answers["filter"] = at, only([]string{"b"}, nil, nil)
			require.Equal(t, "b", b.again().Node)

			p.answers["filter"], e.Ignorable = always(c.answer), true
			require.NotEmpty(t, newBench(t, e).decide(newPod("p", "", 0, "1")).Node)
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		p := start(t, nil)
		p.Close()
		d := newBench(t, of(p)).decide(newPod("p", "", 0, "1"))
		require.Contains(t, d.Failed, "cannot be asked")
	})
	t.Run("no scores", func(t *testing.T) {
		p := start(t, map[string]func([]byte) any{"prioritize": always("?")})
		e := sched.Extender{URLPrefix: p.URL, Prioritize: "prioritize", Weight: 1}
		require.NotEmpty(t, newBench(t, e).decide(newPod("p", "", 0, "1")).Node, "scores are not worth an error")
		require.Equal(t, []string{"prioritize"}, p.asked)
	})
}

func TestManagedResources(t *testing.T) {
	p := start(t, map[string]func([]byte) any{"filter": always(http.StatusTeapot)})
	e := of(p)
	e.Managed = []string{"example.com/gpu"}
	b := newBench(t, e)
	require.NotEmpty(t, b.decide(newPod("p", "", 0, "1")).Node)
	require.Empty(t, p.asked, "the pod asks for none of what the extender manages")
	b = newBench(t, e)
	pod := newPod("p", "", 0, "1")
	pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"example.com/gpu": resource.MustParse("1")}
	require.NotEmpty(t, b.decide(pod).Failed)
}

func TestBind(t *testing.T) {
	var got extenderv1.ExtenderBindingArgs
	p := start(t, map[string]func([]byte) any{"bind": func(q []byte) any {
		require.NoError(t, json.Unmarshal(q, &got))
		return extenderv1.ExtenderBindingResult{Error: "no licence"}
	}})
	e := sched.Extender{URLPrefix: p.URL, Bind: "bind"}
	b := newBench(t, e)
	d := b.decide(newPod("p", "", 0, "2"))
	require.Equal(t, extenderv1.ExtenderBindingArgs{PodName: "p", PodNamespace: "default", PodUID: "uid-p", Node: d.Node}, got)
	c, notes := b.outcome()
	require.Equal(t, corev1.PodReasonSchedulerError, c.Reason)
	require.Equal(t, []string{"FailedScheduling: no licence"}, notes)
	p.answers["bind"] = always(extenderv1.ExtenderBindingResult{})
	b.now = b.now.Add(time.Second)
	require.NotEmpty(t, b.again().Node, "its room was given back")
	_, notes = b.outcome()
	require.Contains(t, notes[0], "Scheduled: Successfully assigned default/p to ")
}

// TestPreempt: the extender chooses among the nodes on which room can be made.
func TestPreempt(t *testing.T) {
	var asked extenderv1.ExtenderPreemptionArgs
	victim := func(node, uid string) func([]byte) any {
		return func(q []byte) any {
			asked = extenderv1.ExtenderPreemptionArgs{}
			require.NoError(t, json.Unmarshal(q, &asked))
			return extenderv1.ExtenderPreemptionResult{NodeNameToMetaVictims: map[string]*extenderv1.MetaVictims{node: {Pods: []*extenderv1.MetaPod{{UID: uid}}}}}
		}
	}
	for _, cached := range []bool{false, true} {
		p := start(t, map[string]func([]byte) any{"preempt": victim("c", "uid-c")})
		b := newBench(t, sched.Extender{URLPrefix: p.URL, Preempt: "preempt", NodeCacheable: cached})
		for i, name := range []string{"a", "b", "c"} {
			b.see(newPod(name, name, int32(i), "2"))
		}
		d := b.decide(newPod("p", "", 100, "1"))
		require.Equal(t, "c", d.Preempted, "without the extender it is a, whose pod matters least")
		require.Equal(t, "c", d.Victims[0].Name)
		if cached {
			require.Equal(t, "uid-b", asked.NodeNameToMetaVictims["b"].Pods[0].UID)
		} else {
			require.Equal(t, "b", asked.NodeNameToVictims["b"].Pods[0].Name)
		}
	}
	for name, answer := range map[string]func([]byte) any{
		"but the pod is not found on that node":    victim("a", "uid-c"),
		"which does not exist":                     victim("z", "uid-c"),
		"expected at least one victim pod on node": always(`{"NodeNameToMetaVictims": {"a": {}}}`),
		"answers with what is not the JSON":        always("?"),
	} {
		p := start(t, map[string]func([]byte) any{"preempt": answer})
		b := newBench(t, sched.Extender{URLPrefix: p.URL, Preempt: "preempt"})
		b.see(newPod("a", "a", 0, "2"))
		b.see(newPod("b", "b", 0, "2"))
		b.see(newPod("c", "c", 0, "2"))
		d := b.decide(newPod("p", "", 100, "1"))
		require.Empty(t, d.Preempted)
		require.Contains(t, d.Message(), name)
	}
}

func TestCertificates(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"NodeNames": ["a"]}`) }))
	t.Cleanup(server.Close)
	e := sched.Extender{URLPrefix: server.URL, Filter: "filter", NodeCacheable: true}
	require.Contains(t, newBench(t, e).decide(newPod("p", "", 0, "1")).Failed, "certificate")
	e.CAData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.Equal(t, "a", newBench(t, e).decide(newPod("p", "", 0, "1")).Node)
	e.CAData, e.EnableHTTPS = nil, true
	require.Equal(t, "a", newBench(t, e).decide(newPod("p", "", 0, "1")).Node)
	for _, bad := range []sched.Extender{{CAFile: "nowhere.pem"}, {CAData: []byte("x")}, {CertData: []byte("x"), KeyData: []byte("y")}} {
		_, err := New([]sched.Extender{bad})
		require.Error(t, err)
	}
}
