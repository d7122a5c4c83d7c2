package nodeagent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// TestTranscripts plays testdata/transcript/*: each block is an input and the effects it
// led to. The commands are in host.command.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcript", func(t *testing.T, path string) {
		h := newHost()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return h.command(t, d)
		})
	})
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// host is the least world an agent can live in: a clock, an API with one node and
// its pods, and answers given by hand or, where told so, at once.
type host struct {
	agent    *Agent
	now      time.Time
	alarm    time.Time
	node     *corev1.Node // as the API has it
	pods     map[string]*corev1.Pod
	inFlight []Write
	runs     map[string]int32 // last run started, by pod/container
	inputs   []Input          // not yet given
	busy     bool
	started  int
	auto     string // "", "api": writes succeed and are seen; "all": so does everything else
	out      strings.Builder
}

func newHost() *host {
	return &host{agent: New("n1", Defaults()), now: start, pods: map[string]*corev1.Pod{}, runs: map[string]int32{}}
}

func (h *host) command(t *testing.T, d *datadriven.TestData) string {
	h.out.Reset()
	arg := func(name, otherwise string) string {
		if d.HasArg(name) {
			d.ScanArgs(t, name, &otherwise)
		}
		return strings.ReplaceAll(otherwise, "_", " ")
	}
	first := ""
	if len(d.CmdArgs) > 0 && len(d.CmdArgs[0].Vals) == 0 {
		first = d.CmdArgs[0].Key
	}
	switch d.Cmd {
	case "auto":
		h.auto = first
	case "fresh": // the host restarts
		h.agent, h.inFlight, h.alarm = New("n1", Defaults()), nil, time.Time{}
	case "boot":
		h.boot(t, d.Input)
	case "nodeseen":
		n := h.node.DeepCopy()
		findNodeCondition(n.Status.Conditions, corev1.NodeReady).Status = corev1.ConditionStatus(first)
		h.node = n
		h.step(NodeSeen{n})
	case "evict":
		h.step(Evict{Pod: h.uid(first), Message: arg("message", "")})
	case "host":
		has := d.HasArg
		h.step(HostSeen{Host{Memory: has("memory"), Disk: has("disk"), PIDs: has("pids"), Problem: arg("problem", "")}})
	case "conditions":
		for _, c := range h.node.Status.Conditions {
			fmt.Fprintf(&h.out, "%s %s since %s %s: %s\n", c.Type, c.Status, c.LastTransitionTime.Sub(start), c.Reason, c.Message)
		}
	case "node":
		return show(h.node)
	case "pod":
		h.pod(t, d.Input)
	case "seen":
		h.step(PodSeen{h.pods[first]})
	case "patch":
		p := h.pods[first].DeepCopy()
		if err := yaml.Unmarshal([]byte(d.Input), p); err != nil {
			t.Fatal(err)
		}
		h.pods[first] = p
		h.step(PodSeen{p})
	case "delete":
		h.delete(first, arg("grace", ""))
	case "gone":
		p := h.pods[first]
		delete(h.pods, first)
		h.step(PodGone{Key: kinds.KeyOf(p), UID: p.UID})
	case "sandbox":
		h.step(SandboxReady{Pod: h.uid(first), IP: arg("ip", "10.244.0.5"), Err: arg("err", "")})
	case "sandboxlost":
		h.step(SandboxLost{Pod: h.uid(first)})
	case "adopted":
		h.adopted(first, arg("ip", "10.244.0.5"), d.Input)
	case "images":
		h.step(ImagesSeen{Images: []corev1.ContainerImage{{Names: strings.Fields(d.Input), SizeBytes: 7}}})
	case "sandboxgone":
		h.step(SandboxGone{Pod: h.uid(first)})
	case "pulled":
		took, _ := time.ParseDuration(arg("took", "2s"))
		h.step(ImagePulled{Image: first, Pod: h.uid(arg("pod", "")), Err: arg("err", ""), SizeBytes: 1000, Took: took})
	case "started":
		h.startedInput(first, arg("err", ""))
	case "exited":
		var code int32
		if d.HasArg("code") {
			d.ScanArgs(t, "code", &code)
		}
		h.step(ContainerExited{ID: h.id(first), ExitCode: code, Reason: arg("reason", "")})
	case "hook":
		h.step(HookDone{ID: h.id(first), Pre: d.HasArg("pre"), Err: arg("err", "")})
	case "probe":
		kind := map[string]ProbeKind{"liveness": Liveness, "readiness": Readiness, "startup": Startup}[d.CmdArgs[1].Key]
		h.step(ProbeAnswered{ID: h.id(first), Probe: kind, OK: !d.HasArg("fail"), Steady: d.HasArg("steady"), Output: arg("fail", "")})
	case "wrote":
		h.wrote(arg("err", ""))
	case "advance":
		by, err := time.ParseDuration(first)
		if err != nil {
			t.Fatal(err)
		}
		h.advance(by)
	case "status":
		return show(h.pods[first].Status)
	default:
		t.Fatalf("unknown command %q", d.Cmd)
	}
	if h.out.Len() == 0 {
		return "ok\n"
	}
	return h.out.String()
}

func show(v any) string {
	text, err := yaml.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (h *host) uid(pod string) types.UID {
	if p := h.pods[pod]; p != nil {
		return p.UID
	}
	return types.UID(pod + "-uid")
}

func (h *host) id(ref string) ContainerID {
	pod, name, _ := strings.Cut(ref, "/")
	return ContainerID{h.uid(pod), name, h.runs[ref]}
}

func (h *host) boot(t *testing.T, text string) {
	n := &corev1.Node{}
	n.Name = "n1"
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.0.1"}}
	if err := yaml.Unmarshal([]byte(text), n); err != nil {
		t.Fatal(err)
	}
	if h.node != nil {
		h.step(NodeSeen{h.node})
	}
	h.step(Booted{n})
}

func (h *host) pod(t *testing.T, text string) {
	p := &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(text), p); err != nil {
		t.Fatal(err)
	}
	p.Namespace, p.UID, p.Spec.NodeName, p.Generation, p.ResourceVersion = "default", types.UID(p.Name+"-uid"), "n1", 1, "1"
	if p.Spec.RestartPolicy == "" {
		p.Spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	if p.Status.Phase == "" {
		p.Status.Phase = corev1.PodPending
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Time{Time: h.now}}}
	}
	h.pods[p.Name] = p
	h.step(PodSeen{p})
}

func (h *host) delete(name, grace string) {
	p := h.pods[name].DeepCopy()
	at := metav1.Time{Time: h.now}
	p.DeletionTimestamp = &at
	secs := int64(30)
	if s := p.Spec.TerminationGracePeriodSeconds; s != nil {
		secs = *s
	}
	if grace != "" {
		fmt.Sscan(grace, &secs)
	}
	p.DeletionGracePeriodSeconds = &secs
	p.Generation++
	h.pods[name] = p
	h.step(PodSeen{p})
}

func (h *host) startedInput(ref, err string) {
	h.started++
	h.step(ContainerStarted{ID: h.id(ref), RuntimeID: fmt.Sprintf("containerd://%d", h.started), Err: err})
}

// wrote answers the oldest write in flight.
func (h *host) wrote(fail string) {
	if len(h.inFlight) == 0 {
		return
	}
	w := h.inFlight[0]
	h.inFlight = h.inFlight[1:]
	gr := schema.GroupResource{Resource: w.Request.Ref.Kind.Info().Plural}
	var err error
	switch fail {
	case "":
		h.apply(w)
		return
	case "notfound":
		err = apierrors.NewNotFound(gr, w.Request.Ref.Name)
	case "exists":
		err = apierrors.NewAlreadyExists(gr, w.Request.Ref.Name)
	default:
		err = errors.New(fail)
	}
	h.step(Wrote{Tag: w.Tag, Err: err})
}

// apply carries a write out, tells its outcome and then shows the new object.
func (h *host) apply(w Write) {
	r := w.Request
	if r.Ref.Kind == kinds.Node {
		h.node = r.Object.(*corev1.Node)
		h.step(Wrote{Tag: w.Tag})
		h.step(NodeSeen{h.node})
		return
	}
	p := h.pods[r.Ref.Name]
	if p == nil {
		h.step(Wrote{Tag: w.Tag, Err: apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, r.Ref.Name)})
		return
	}
	if r.Verb == api.VerbDelete {
		delete(h.pods, r.Ref.Name)
		h.step(Wrote{Tag: w.Tag})
		h.step(PodGone{Key: kinds.KeyOf(p), UID: p.UID})
		return
	}
	p = p.DeepCopy()
	p.Status = r.Object.(*corev1.Pod).Status
	h.pods[r.Ref.Name] = p
	h.step(Wrote{Tag: w.Tag})
	h.step(PodSeen{p})
}

// advance moves the clock, ringing the alarm at its times.
func (h *host) advance(by time.Duration) {
	end := h.now.Add(by)
	for !h.alarm.IsZero() && !h.alarm.After(end) {
		if h.alarm.After(h.now) {
			h.now = h.alarm
		}
		h.alarm = time.Time{}
		fmt.Fprintf(&h.out, "@%s\n", h.now.Sub(start))
		h.step(Woken{})
	}
	h.now = end
}

// step gives the agent an input, prints the effects and, as far as auto says,
// answers them in their order.
func (h *host) step(in Input) {
	h.inputs = append(h.inputs, in)
	if h.busy {
		return
	}
	h.busy = true
	for len(h.inputs) > 0 || h.auto != "" && len(h.inFlight) > 0 {
		if len(h.inputs) == 0 {
			h.wrote("")
			continue
		}
		in := h.inputs[0]
		h.inputs = h.inputs[1:]
		for _, e := range h.agent.Step(h.now, in, nil) {
			if w, ok := e.(WakeAt); ok {
				h.alarm = w.At
			}
			h.print(e)
			h.remember(e)
		}
	}
	h.busy = false
}

func (h *host) remember(e Effect) {
	all := h.auto == "all"
	switch e := e.(type) {
	case Write:
		h.inFlight = append(h.inFlight, e)
	case StartContainer:
		h.runs[e.Pod.Name+"/"+e.ID.Name] = e.ID.Run
		if all {
			h.startedInput(e.Pod.Name+"/"+e.ID.Name, "")
		}
	case MakeSandbox:
		if all {
			h.step(SandboxReady{Pod: e.Pod.UID, IP: "10.244.0.5"})
		}
	case PullImage:
		if all {
			h.step(ImagePulled{Image: e.Image, Pod: e.Pod, SizeBytes: 1000, Took: time.Second})
		}
	case StopSandbox:
		if h.auto != "" {
			h.step(SandboxGone{e.Pod})
		}
	}
}

func (h *host) print(e Effect) {
	f := func(format string, args ...any) { fmt.Fprintf(&h.out, format+"\n", args...) }
	id := func(c ContainerID) string {
		return fmt.Sprintf("%s/%s#%d", strings.TrimSuffix(string(c.Pod), "-uid"), c.Name, c.Run)
	}
	switch e := e.(type) {
	case PullImage:
		f("pull %s for %s%s", e.Image, e.Pod, strings.Join(append([]string{""}, e.Secrets...), " secret "))
	case MakeSandbox:
		f("make sandbox %s", e.Pod.Name)
	case StopSandbox:
		f("stop sandbox %s", e.Pod)
	case StartContainer:
		target := ""
		if e.Target.Name != "" {
			target = " with the processes of " + id(e.Target)
		}
		f("start %s%s", id(e.ID), target)
	case KillContainer:
		f("kill %s grace %s", id(e.ID), e.Grace)
	case RunHook:
		f("hook %s %s", map[bool]string{true: "preStop", false: "postStart"}[e.Pre], id(e.ID))
	case RunProbe:
		f("probe %s %s timeout %s", e.Kind, id(e.ID), e.Timeout)
	case StopProbes:
		f("stop probes %s", id(e.ID))
	case Write:
		f("write %s%s", e.Request, brief(e.Request))
	case Say:
		about := e.Note.About.GetName()
		if e.Note.FieldPath != "" {
			about += " " + e.Note.FieldPath
		}
		f("say %s %s %s: %s", e.Note.Type, about, e.Note.Reason, e.Note.Message)
	case WakeAt:
		if e.At.IsZero() {
			f("wake never")
		} else {
			f("wake at %s", e.At.Sub(start))
		}
	}
}

// brief is a written pod status in one line.
func brief(r api.Request) string {
	p, ok := r.Object.(*corev1.Pod)
	if !ok {
		if r.Verb == api.VerbDelete {
			return fmt.Sprintf(" grace %d uid %s", r.Grace, r.UID)
		}
		return ""
	}
	s := &p.Status
	b := ": " + string(s.Phase)
	for _, c := range s.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			b += " Ready"
		}
	}
	if s.Reason != "" {
		b += " " + s.Reason
	}
	for _, c := range slices.Concat(s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses) {
		b += " " + c.Name + "=" + stateWord(c.State)
		if c.LastTerminationState.Terminated != nil {
			b += "<" + stateWord(c.LastTerminationState)
		}
		if c.RestartCount > 0 {
			b += fmt.Sprintf("#%d", c.RestartCount)
		}
		if c.Ready {
			b += "+"
		}
	}
	return b
}

func stateWord(s corev1.ContainerState) string {
	switch {
	case s.Running != nil:
		return "running"
	case s.Terminated != nil:
		return fmt.Sprintf("%s(%d)", s.Terminated.Reason, s.Terminated.ExitCode)
	}
	return s.Waiting.Reason
}

// adopted offers a pod that runs: containers in the order i=running, c=exited(CODE) and
// so on, each NAME#RUN=running or NAME#RUN=CODE. They have been running for a minute.
func (h *host) adopted(pod, ip, runs string) {
	in := Adopted{Pod: h.uid(pod), IP: ip}
	for _, r := range strings.Fields(runs) {
		id, state, _ := strings.Cut(r, "=")
		name, run, _ := strings.Cut(id, "#")
		c := AdoptedContainer{ID: ContainerID{Pod: in.Pod, Name: name}, StartedAt: h.now.Add(-time.Minute)}
		fmt.Sscan(run, &c.ID.Run)
		c.RuntimeID = fmt.Sprintf("containerd://%s-%s-%d", pod, name, c.ID.Run)
		if state != "running" {
			c.Exit, c.FinishedAt = &ContainerExited{ID: c.ID}, h.now.Add(-time.Second)
			fmt.Sscan(state, &c.Exit.ExitCode)
		}
		h.runs[pod+"/"+name] = c.ID.Run
		in.Containers = append(in.Containers, c)
	}
	h.step(in)
}
