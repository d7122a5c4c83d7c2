package nodeagent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// TestChaos gives an agent answers in any order, with any outcome, late and
// twice, loses its connection and restarts its host, and checks after every step
// what must hold at any time. Then the world becomes kind, and every pod must
// come to what it is to be. rapid prints the flag that repeats a failure.
func TestChaos(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &chaos{T: t, now: start, pods: map[types.UID]*chaosPod{}}
		c.boot()
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			c.act()
		}
		c.settle()
	})
}

type chaos struct {
	*rapid.T
	agent   *Agent
	now     time.Time
	alarm   time.Time
	node    *corev1.Node
	pods    map[types.UID]*chaosPod
	order   []types.UID
	pending []Effect // not yet answered
	writing map[types.UID]bool
	kind    bool // everything succeeds
}

// chaosPod is a pod in the API and on the host.
type chaosPod struct {
	api     *corev1.Pod // nil: deleted
	spec    *corev1.Pod
	sandbox bool
	runs    map[string]int32 // last run started
	running map[string]bool
	counts  map[string]int32 // restart counts last written
	told    bool             // the agent knows of its deletion
	ended   corev1.PodPhase
}

func (c *chaos) flip(label string) bool { return !c.kind && rapid.IntRange(0, 3).Draw(c.T, label) == 0 }

func (c *chaos) boot() {
	c.agent, c.alarm, c.pending, c.writing = New("n1", Defaults()), time.Time{}, nil, map[types.UID]bool{}
	for _, uid := range c.order {
		p := c.pods[uid]
		p.sandbox, p.running, p.runs = false, map[string]bool{}, map[string]int32{}
	}
	n := &corev1.Node{}
	n.Name = "n1"
	c.step(Booted{n})
	for _, uid := range c.order {
		if p := c.pods[uid]; p.api != nil {
			p.told = p.api.DeletionTimestamp != nil
			c.step(PodSeen{p.api})
		}
	}
}

func (c *chaos) act() {
	switch rapid.IntRange(0, 12).Draw(c.T, "act") {
	case 0, 1:
		if len(c.order) < 6 {
			c.newPod()
		}
	case 2:
		c.advance(time.Duration(rapid.IntRange(1, 40_000).Draw(c.T, "ms")) * time.Millisecond)
	case 3:
		c.exitOne()
	case 4:
		c.deleteOne()
	case 5:
		if rapid.IntRange(0, 9).Draw(c.T, "restart") == 0 {
			c.boot()
		}
	case 6:
		c.stray()
	case 7:
		c.addGuest()
	default:
		if len(c.pending) > 0 {
			c.answer(rapid.IntRange(0, len(c.pending)-1).Draw(c.T, "which"))
		}
	}
}

// pick draws a pod that is in the API or runs here.
func (c *chaos) pick() (types.UID, *chaosPod) {
	if len(c.order) == 0 {
		return "", nil
	}
	uid := rapid.SampledFrom(c.order).Draw(c.T, "pod")
	return uid, c.pods[uid]
}

func (c *chaos) newPod() {
	t := c.T
	uid := types.UID(fmt.Sprintf("u%d", len(c.order)))
	p := &corev1.Pod{}
	p.Name, p.Namespace, p.UID, p.Generation = "p"+string(uid), "default", uid, 1
	p.Spec.RestartPolicy = rapid.SampledFrom([]corev1.RestartPolicy{"Always", "OnFailure", "Never"}).Draw(t, "policy")
	for i := range rapid.IntRange(0, 2).Draw(t, "inits") {
		ct := c.newContainer(fmt.Sprintf("i%d", i))
		if rapid.Bool().Draw(t, "sidecar") {
			always := corev1.ContainerRestartPolicyAlways
			ct.RestartPolicy = &always
		} else {
			ct.StartupProbe, ct.ReadinessProbe, ct.LivenessProbe, ct.Lifecycle = nil, nil, nil, nil
		}
		p.Spec.InitContainers = append(p.Spec.InitContainers, ct)
	}
	for i := range rapid.IntRange(1, 2).Draw(t, "apps") {
		p.Spec.Containers = append(p.Spec.Containers, c.newContainer(fmt.Sprintf("c%d", i)))
	}
	if rapid.IntRange(0, 5).Draw(t, "deadline") == 0 {
		s := int64(30)
		p.Spec.ActiveDeadlineSeconds = &s
	}
	p.Status.Phase = corev1.PodPending
	c.pods[uid] = &chaosPod{api: p, spec: p, runs: map[string]int32{}, running: map[string]bool{}, counts: map[string]int32{}}
	c.order = append(c.order, uid)
	c.step(PodSeen{p})
}

func (c *chaos) newContainer(name string) corev1.Container {
	t := c.T
	ct := corev1.Container{Name: name, Image: rapid.SampledFrom([]string{"a:1", "b:1", "c"}).Draw(t, "image"),
		ImagePullPolicy: rapid.SampledFrom([]corev1.PullPolicy{corev1.PullAlways, corev1.PullIfNotPresent}).Draw(t, "pull")}
	probe := func(label string) *corev1.Probe {
		if rapid.IntRange(0, 2).Draw(t, label) > 0 {
			return nil
		}
		return &corev1.Probe{PeriodSeconds: int32(rapid.IntRange(0, 7).Draw(t, "period")), FailureThreshold: 2,
			InitialDelaySeconds: int32(rapid.IntRange(0, 3).Draw(t, "delay"))}
	}
	ct.StartupProbe, ct.ReadinessProbe, ct.LivenessProbe = probe("startup"), probe("readiness"), probe("liveness")
	hook := func(label string) *corev1.LifecycleHandler {
		if rapid.IntRange(0, 2).Draw(t, label) > 0 {
			return nil
		}
		return &corev1.LifecycleHandler{Exec: &corev1.ExecAction{}}
	}
	ct.Lifecycle = &corev1.Lifecycle{PostStart: hook("postStart"), PreStop: hook("preStop")}
	return ct
}

// addGuest adds an ephemeral container to a pod.
func (c *chaos) addGuest() {
	_, p := c.pick()
	if p == nil || p.api == nil || len(p.api.Spec.EphemeralContainers) > 2 {
		return
	}
	next := *p.api
	next.Generation++
	g := corev1.EphemeralContainer{TargetContainerName: rapid.SampledFrom([]string{"", "c0"}).Draw(c.T, "target")}
	g.Name, g.Image = fmt.Sprintf("g%d", len(next.Spec.EphemeralContainers)), rapid.SampledFrom([]string{"a:1", "d:1"}).Draw(c.T, "image")
	next.Spec.EphemeralContainers = append(slices.Clip(next.Spec.EphemeralContainers), g)
	p.api, p.spec = &next, &next
	c.step(PodSeen{p.api})
}

func (c *chaos) exitOne() {
	if uid, p := c.pick(); p != nil {
		for _, name := range containerNames(p.spec) {
			if p.running[name] && c.flip("exit "+name) {
				p.running[name] = false
				c.step(ContainerExited{ID: ContainerID{uid, name, p.runs[name]}, ExitCode: int32(rapid.IntRange(0, 1).Draw(c.T, "code"))})
			}
		}
	}
}

func containerNames(p *corev1.Pod) []string {
	var names []string
	for _, ct := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		names = append(names, ct.Name)
	}
	for i := range p.Spec.EphemeralContainers {
		names = append(names, p.Spec.EphemeralContainers[i].Name)
	}
	return names
}

func (c *chaos) deleteOne() {
	uid, p := c.pick()
	switch {
	case p == nil || p.api == nil:
	case c.flip("force"):
		c.gone(uid, p)
	case p.api.DeletionTimestamp == nil:
		next := *p.api
		grace := int64(rapid.IntRange(1, 30).Draw(c.T, "grace"))
		next.DeletionTimestamp, next.DeletionGracePeriodSeconds = &metav1.Time{Time: c.now}, &grace
		next.Generation++
		p.api, p.told = &next, true
		c.step(PodSeen{p.api})
	}
}

func (c *chaos) gone(uid types.UID, p *chaosPod) {
	key := kinds.KeyOf(p.api)
	p.api, p.told = nil, true
	c.step(PodGone{Key: key, UID: uid})
}

// stray sends an input that answers nothing.
func (c *chaos) stray() {
	uid, p := c.pick()
	if p == nil {
		return
	}
	name := rapid.SampledFrom(containerNames(p.spec)).Draw(c.T, "name")
	id := ContainerID{uid, name, p.runs[name]}
	inputs := []Input{
		ProbeAnswered{ID: id, Probe: ProbeKind(rapid.IntRange(1, 3).Draw(c.T, "probe")), OK: rapid.Bool().Draw(c.T, "ok"), Steady: true},
		HookDone{ID: ContainerID{uid, name, id.Run + 7}},
		SandboxGone{Pod: "nobody"},
		ImagePulled{Image: "a:1", Pod: "nobody"},
		Wrote{Tag: 1 << 40},
		Woken{},
	}
	if p.api != nil {
		inputs = append(inputs, PodSeen{p.api})
	}
	c.step(inputs[rapid.IntRange(0, len(inputs)-1).Draw(c.T, "stray")])
}

func (c *chaos) advance(by time.Duration) {
	end := c.now.Add(by)
	for !c.alarm.IsZero() && !c.alarm.After(end) {
		c.now = c.alarm
		c.alarm = time.Time{}
		c.step(Woken{})
		if c.kind {
			c.answerAll()
		}
	}
	c.now = end
}

func (c *chaos) answerAll() {
	for n := 0; len(c.pending) > 0; n++ {
		if n > 10_000 {
			c.Fatalf("the agent does not come to rest: %+v", c.pending)
		}
		c.answer(0)
	}
}

func (c *chaos) answer(i int) {
	e := c.pending[i]
	c.pending = slices.Delete(c.pending, i, i+1)
	fail := ""
	if c.flip("fail") {
		fail = "broken"
	}
	switch e := e.(type) {
	case PullImage:
		c.step(ImagePulled{Image: e.Image, Pod: e.Pod, Err: fail, SizeBytes: 5})
	case MakeSandbox:
		c.pods[e.Pod.UID].sandbox = fail == ""
		c.step(SandboxReady{Pod: e.Pod.UID, IP: "10.0.0.1", Err: fail})
	case StopSandbox:
		c.pods[e.Pod].sandbox = false
		c.step(SandboxGone{e.Pod})
	case StartContainer:
		if fail != "" && c.flip("config") {
			fail = reasonConfigError + ": no secret"
			c.pods[e.ID.Pod].runs[e.ID.Name]--
		}
		c.pods[e.ID.Pod].running[e.ID.Name] = fail == ""
		c.step(ContainerStarted{ID: e.ID, RuntimeID: fmt.Sprint(e.ID), Err: fail})
	case KillContainer:
		if p := c.pods[e.ID.Pod]; p.running[e.ID.Name] && p.runs[e.ID.Name] == e.ID.Run {
			p.running[e.ID.Name] = false
			c.step(ContainerExited{ID: e.ID, ExitCode: 143})
		}
	case RunHook:
		c.step(HookDone{ID: e.ID, Pre: e.Pre, Err: fail})
	case RunProbe:
		c.step(ProbeAnswered{ID: e.ID, Probe: e.Kind, OK: fail == "", Steady: c.kind || c.flip("steady")})
	case Write:
		c.wrote(e, fail)
	}
}

func (c *chaos) wrote(e Write, fail string) {
	r := e.Request
	if r.Ref.Kind == kinds.Node {
		var err error
		if fail != "" {
			err = errors.New(fail)
		} else {
			c.node = r.Object.(*corev1.Node)
		}
		c.step(Wrote{Tag: e.Tag, Err: err})
		return
	}
	p := c.pods[r.UID]
	delete(c.writing, r.UID)
	switch {
	case p.api == nil:
		c.step(Wrote{Tag: e.Tag, Err: apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, r.Ref.Name)})
	case fail != "":
		c.step(Wrote{Tag: e.Tag, Err: errors.New(fail)})
	case r.Verb == api.VerbDelete:
		c.step(Wrote{Tag: e.Tag})
		c.gone(r.UID, p)
	default:
		next := *p.api
		next.Status = r.Object.(*corev1.Pod).Status
		p.note(&next.Status)
		p.api = &next
		if c.flip("seen first") {
			c.step(PodSeen{p.api})
			c.step(Wrote{Tag: e.Tag})
			return
		}
		c.step(Wrote{Tag: e.Tag})
		if p.api != nil {
			c.step(PodSeen{p.api})
		}
	}
}

// note remembers what the API now knows and may not take back.
func (p *chaosPod) note(s *corev1.PodStatus) {
	for _, st := range slices.Concat(s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses) {
		p.counts[st.Name] = st.RestartCount
	}
	if terminal(s.Phase) {
		p.ended = s.Phase
	}
}

func (c *chaos) step(in Input) {
	for _, e := range c.agent.Step(c.now, in, nil) {
		c.check(e)
		switch e := e.(type) {
		case WakeAt:
			c.alarm = e.At
		case Say, StopProbes:
		default:
			c.pending = append(c.pending, e)
		}
	}
}

// check holds an effect against what must be true at any time.
func (c *chaos) check(e Effect) {
	switch e := e.(type) {
	case WakeAt:
		if !e.At.IsZero() && !e.At.After(c.now) {
			c.Fatalf("an alarm at %s is not after now, %s", e.At, c.now)
		}
	case StartContainer:
		p, name := c.pods[e.ID.Pod], e.ID.Name
		last, before := p.runs[name]
		if p.told || !p.sandbox || p.running[name] || before && e.ID.Run <= last {
			c.Fatalf("start of %v: deletion known %v, sandbox %v, running %v, last run %d", e.ID, p.told, p.sandbox, p.running[name], last)
		}
		if strings.HasPrefix(name, "g") && e.ID.Run != 0 {
			c.Fatalf("start of %v: it is started once only", e.ID)
		}
		p.runs[name] = e.ID.Run
	case KillContainer:
		if p := c.pods[e.ID.Pod]; p.runs[e.ID.Name] != e.ID.Run || e.Grace < 0 {
			c.Fatalf("kill of %v, last run %d, grace %s", e.ID, p.runs[e.ID.Name], e.Grace)
		}
	case StopSandbox:
		for _, name := range containerNames(c.pods[e.Pod].spec) {
			if c.pods[e.Pod].running[name] {
				c.Fatalf("the sandbox of %s is stopped while %s runs", e.Pod, name)
			}
		}
	case Write:
		c.checkWrite(e.Request)
	}
}

func (c *chaos) checkWrite(r api.Request) {
	if r.Ref.Kind == kinds.Node {
		return
	}
	p := c.pods[r.UID]
	if p == nil || c.writing[r.UID] {
		c.Fatalf("%s: no such pod, or a second write in flight", r)
	}
	c.writing[r.UID] = true
	if r.Verb == api.VerbDelete {
		for _, name := range containerNames(p.spec) {
			if p.running[name] || p.sandbox {
				c.Fatalf("%s: %s runs, or the sandbox stands", r, name)
			}
		}
		return
	}
	c.checkStatus(p, &r.Object.(*corev1.Pod).Status)
}

// checkStatus holds a status against the documented meaning of the phases.
func (c *chaos) checkStatus(p *chaosPod, s *corev1.PodStatus) {
	running, ready := 0, true
	all := slices.Concat(s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses)
	for i := range all {
		st := &all[i]
		if st.RestartCount < p.counts[st.Name] {
			c.Fatalf("the restart count of %s goes from %d to %d", st.Name, p.counts[st.Name], st.RestartCount)
		}
		if st.State.Running != nil {
			running++
		}
		if st.Ready && st.State.Running == nil && (st.State.Terminated == nil || st.State.Terminated.ExitCode != 0) {
			c.Fatalf("%s is ready and neither runs nor has ended well: %+v", st.Name, st)
		}
	}
	for i := range s.ContainerStatuses {
		st := &s.ContainerStatuses[i]
		ready = ready && st.Ready
		ran := st.State.Waiting == nil || st.LastTerminationState.Terminated != nil
		ok := st.State.Terminated != nil && st.State.Terminated.ExitCode == 0
		if s.Phase == corev1.PodRunning && !ran || s.Phase == corev1.PodSucceeded && !ok {
			c.Fatalf("phase %s with container %+v", s.Phase, st)
		}
	}
	if terminal(s.Phase) && running > 0 || p.ended != "" && s.Phase != p.ended {
		c.Fatalf("phase %s with %d running, phase before %q", s.Phase, running, p.ended)
	}
	if cond := findCondition(s.Conditions, corev1.PodReady); cond.Status == corev1.ConditionTrue && !ready {
		c.Fatalf("ready with unready containers: %+v", s)
	}
}

// settle lets everything succeed and time pass; then every pod must be what its
// spec asks for, and every deleted one gone.
func (c *chaos) settle() {
	c.kind = true
	c.answerAll()
	c.recover()
	for range 12 {
		c.advance(5 * time.Minute)
		c.answerAll()
		c.endInits()
	}
	for _, uid := range c.order {
		p := c.pods[uid]
		switch {
		case p.api == nil:
			if c.agent.pods[uid] != nil || p.sandbox {
				c.Fatalf("pod %s is gone, and something is left of it: %+v", uid, c.agent.pods[uid])
			}
		case p.api.DeletionTimestamp != nil:
			c.Fatalf("pod %s is still being deleted: %+v", uid, c.agent.pods[uid])
		case terminal(p.api.Status.Phase):
			if p.sandbox {
				c.Fatalf("pod %s has ended and has a sandbox", uid)
			}
		default:
			if r := findCondition(p.api.Status.Conditions, corev1.PodReady); (r == nil || r.Status != corev1.ConditionTrue) && !c.half(p) {
				c.Fatalf("pod %s is not ready: %+v\n%+v", uid, p.api.Status, c.agent.pods[uid])
			}
		}
	}
	if !c.agent.node.registered || c.node == nil {
		c.Fatalf("the node is not registered")
	}
}

// recover tells of every probe that it succeeds from now on.
func (c *chaos) recover() {
	for _, uid := range c.order {
		p := c.pods[uid]
		for _, name := range containerNames(p.spec) {
			for kind := Liveness; kind <= Startup; kind++ {
				c.step(ProbeAnswered{ID: ContainerID{uid, name, p.runs[name]}, Probe: kind, OK: true, Steady: true})
			}
		}
	}
}

// endInits lets the init containers that run end well.
func (c *chaos) endInits() {
	for _, uid := range c.order {
		p := c.pods[uid]
		for i := range p.spec.Spec.InitContainers {
			ct := &p.spec.Spec.InitContainers[i]
			if p.running[ct.Name] && ct.RestartPolicy == nil {
				p.running[ct.Name] = false
				c.step(ContainerExited{ID: ContainerID{uid, ct.Name, p.runs[ct.Name]}})
				c.answerAll()
			}
		}
	}
}

// half says that a pod cannot become ready: some of its containers have ended for
// good while others run on.
func (c *chaos) half(p *chaosPod) bool {
	for _, st := range p.api.Status.ContainerStatuses {
		if st.State.Terminated != nil {
			return p.spec.Spec.RestartPolicy != corev1.RestartPolicyAlways
		}
	}
	return false
}
