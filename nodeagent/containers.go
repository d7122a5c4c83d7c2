package nodeagent

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type containerState uint8

const (
	containerIdle     containerState = iota // has not run in this pod
	containerPulling                        // its image is being pulled for a start
	containerStarting                       // StartContainer is out
	containerRunning
	containerExited
)

// container is one container of a pod over all its runs.
type container struct {
	spec    *corev1.Container
	init    bool
	sidecar bool
	guest   bool   // an ephemeral container
	target  string // the container whose processes a guest is to see; may be empty
	path    string // see fieldPath
	mounts  []corev1.VolumeMountStatus

	state     containerState
	run       int32 // of the present run, or of the last: its restart count
	runtimeID string
	imageID   string
	running   *corev1.ContainerStateRunning // of the present run
	term      *corev1.ContainerStateTerminated
	last      *corev1.ContainerStateTerminated // of the run before
	waiting   *corev1.ContainerStateWaiting    // why it does not start; nil is no reason

	startedAt time.Time
	exitedAt  time.Time // of the last run that ended
	exitedOld time.Time // of the run before that

	done    bool // an init container that ended well in this sandbox
	passed  bool // a sidecar that has started in this sandbox
	started bool // runs, and its startup probe has succeeded
	hooking bool // its postStart hook is under way

	// What keeps it from starting.
	notBefore time.Time
	settleAt  time.Time // when its failure gives way to the back-off it led to
	crash     backoff
	crashSeen bool // the back-off after the last exit has been looked up
	counted   bool // and lengthened
	forced    bool // restart after a kill that was the agent's own wish
	pull      backoff
	pullError string
	pullSince time.Time
	pullCount int    // of pulls asked for
	hookError string // of a postStart hook that failed

	killing
	probes *[3]probe // by ProbeKind - 1; nil for a container that has none
}

func (c *container) id(p *pod) ContainerID { return ContainerID{p.uid, c.spec.Name, c.run} }

// live says that there is or soon will be a process.
func (c *container) live() bool { return c.state == containerRunning || c.state == containerStarting }

// recall sets up a container of a pod that ran here before the agent did. The
// host has restarted, so what ran has ended, and how is not known: the runtime
// then reports exit code 255 and the reason Unknown.
func (a *Agent) recall(p *pod, c *container) {
	s := oldStatus(p, c)
	if s == nil {
		return
	}
	c.run, c.runtimeID, c.imageID, c.last = s.RestartCount, s.ContainerID, s.ImageID, s.LastTerminationState.Terminated
	switch {
	case s.State.Running != nil:
		c.term = &corev1.ContainerStateTerminated{ExitCode: 255, Reason: "Unknown",
			StartedAt: s.State.Running.StartedAt, FinishedAt: a.stamp(), ContainerID: s.ContainerID}
	case s.State.Terminated != nil:
		c.term = s.State.Terminated
	case s.LastTerminationState.Terminated != nil:
		c.term, c.last = s.LastTerminationState.Terminated, nil
	default:
		return
	}
	c.state, c.exitedAt, c.crashSeen, c.counted = containerExited, a.now, true, true
}

func oldStatus(p *pod, c *container) *corev1.ContainerStatus {
	list := p.api.Status.ContainerStatuses
	switch {
	case c.init:
		list = p.api.Status.InitContainerStatuses
	case c.guest:
		list = p.api.Status.EphemeralContainerStatuses
	}
	for i := range list {
		if list[i].Name == c.spec.Name {
			return &list[i]
		}
	}
	return nil
}

// backsOff looks up, once after each exit, whether the restart has to wait. The
// first restart does not; after that the wait is counted from the exit.
func (a *Agent) backsOff(p *pod, c *container) bool {
	if c.state != containerExited || c.crashSeen {
		return false
	}
	c.crashSeen = true
	since := c.exitedAt
	if c.forced {
		// The kubelet kills and restarts in one round, in which the run that it
		// kills does not count as ended yet: the one before does.
		since = c.exitedOld
	}
	if c.crash.until(a.now, since, a.cfg.CrashBackoffMax).IsZero() {
		return false
	}
	c.notBefore, c.settleAt = c.exitedAt.Add(c.crash.delay), a.now.Add(a.cfg.Relist)
	return true
}

// settle shows back-offs in place of the failures that led to them.
func (a *Agent) settle(p *pod) {
	for i := range p.count() {
		c := p.at(i)
		if c.settleAt.IsZero() || a.now.Before(c.settleAt) {
			continue
		}
		c.settleAt = time.Time{}
		p.dirty = true
		if c.pullError != "" {
			a.settlePull(p, c)
			continue
		}
		c.waiting = &corev1.ContainerStateWaiting{Reason: reasonCrashLoop,
			Message: "back-off " + c.crash.delay.String() + " restarting failed container=" + c.spec.Name + " pod=" + p.fullName()}
		a.sayWarning(p, c, "BackOff", "Back-off restarting failed container "+c.spec.Name+" in pod "+p.fullName())
	}
}

// start begins a container's start: its image first.
func (a *Agent) start(p *pod, c *container) {
	c.notBefore, c.settleAt = time.Time{}, time.Time{}
	if c.term != nil && !c.counted {
		a.countCrash(c)
	}
	if a.ensureImage(p, c) {
		a.launch(p, c)
	}
}

// countCrash lengthens the back-off that the next exit will meet.
func (a *Agent) countCrash(c *container) {
	c.counted = true
	since := c.exitedAt
	if c.forced {
		since = c.exitedOld
	}
	if !since.IsZero() {
		c.crash.next(a.now, since, a.cfg.CrashBackoff, a.cfg.CrashBackoffMax)
	}
}

// launch starts a container whose image is there.
func (a *Agent) launch(p *pod, c *container) {
	target, ok := p.targetOf(c)
	if !ok {
		p.dirty = true
		a.startFailed(p, c, ContainerStarted{Err: reasonConfigError + ": unable to find target container " + c.target})
		return
	}
	if c.term != nil {
		c.run++
	}
	c.state, c.forced, c.waiting, c.killing = containerStarting, false, nil, killing{}
	p.starting = c
	a.do(StartContainer{ID: c.id(p), Pod: p.api, Container: c.spec, Target: target})
}

func (a *Agent) containerStarted(in ContainerStarted) {
	p, c := a.container(in.ID)
	if c == nil || c.state != containerStarting {
		return
	}
	p.dirty = true
	if in.Err != "" {
		p.starting = nil
		a.startFailed(p, c, in)
		a.sync(p)
		return
	}
	c.begin()
	c.runtimeID, c.imageID, c.state, c.startedAt = in.RuntimeID, in.ImageID, containerRunning, a.now
	c.running = &corev1.ContainerStateRunning{StartedAt: a.stamp()}
	a.sayNormal(p, c, "Created", "Container created")
	a.sayNormal(p, c, "Started", "Container started")
	if !c.init && !c.guest {
		p.initialized = true
	}
	if h := c.spec.Lifecycle; h != nil && h.PostStart != nil && p.stage == stageRun {
		c.hooking = true
		a.do(RunHook{ID: c.id(p), Pod: p.api, Handler: h.PostStart})
	} else {
		a.begun(p, c)
	}
	a.sync(p)
}

// begin makes the run before the last one: until a start is known to have come
// to something, the status shows what was.
func (c *container) begin() {
	if c.term != nil {
		c.last, c.term = c.term, nil
	}
}

// begun ends a container's start: its probes begin.
func (a *Agent) begun(p *pod, c *container) {
	if p.starting == c {
		p.starting = nil
	}
	c.hooking = false
	a.startProbes(p, c)
}

// startFailed handles a container that could not be started. The world may begin
// the message with CreateContainerError or CreateContainerConfigError and a colon
// where nothing was created; else the runtime created the container and could not
// run it.
func (a *Agent) startFailed(p *pod, c *container, in ContainerStarted) {
	for _, reason := range []string{reasonCreateError, reasonConfigError} {
		if message, ok := strings.CutPrefix(in.Err, reason+": "); ok {
			a.sayWarning(p, c, "Failed", "Error: "+message)
			if c.term != nil {
				c.run-- // launch counted it
			}
			p.unstart(c)
			c.crashSeen, c.notBefore = true, a.now.Add(a.cfg.SyncRetry)
			c.waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: message}
			return
		}
	}
	a.sayNormal(p, c, "Created", "Container created")
	a.sayWarning(p, c, "Failed", "Error: "+in.Err)
	c.runtimeID = in.RuntimeID
	// 128 and StartError are containerd's; it gives the epoch as the start.
	a.exited(p, c, &corev1.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: in.Err,
		StartedAt: metav1.Time{Time: time.Unix(0, 0).UTC()}, FinishedAt: a.stamp(), ContainerID: in.RuntimeID})
	if p.wantsStart(c) {
		c.waiting = &corev1.ContainerStateWaiting{Reason: reasonRunError, Message: in.Err}
	}
}

func (a *Agent) containerExited(in ContainerExited) {
	p, c := a.container(in.ID)
	if c == nil || !c.live() {
		return
	}
	t := terminated(&in, c.runtimeID)
	t.FinishedAt = a.stamp()
	if c.running != nil {
		t.StartedAt = c.running.StartedAt
	}
	if p.starting == c {
		p.starting = nil
	}
	a.exited(p, c, t)
	if c.hookError != "" && p.wantsStart(c) {
		c.waiting = &corev1.ContainerStateWaiting{Reason: reasonHookError, Message: c.hookError}
	}
	c.hookError = ""
	a.sync(p)
}

// terminated is an exit as a status tells it, but for its times.
func terminated(in *ContainerExited, runtimeID string) *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{ExitCode: in.ExitCode, Signal: in.Signal, Reason: in.Reason,
		Message: in.Message, ContainerID: runtimeID}
	if t.Reason == "" {
		t.Reason = "Completed"
		if t.ExitCode != 0 {
			t.Reason = "Error"
		}
	}
	return t
}

// exited records the end of a run.
func (a *Agent) exited(p *pod, c *container, t *corev1.ContainerStateTerminated) {
	if c.state == containerStarting {
		c.begin()
	}
	c.state, c.term, c.running, c.waiting = containerExited, t, nil, nil
	c.exitedOld, c.exitedAt, c.crashSeen, c.counted = c.exitedAt, a.now, false, false
	c.started, c.hooking, c.killing = false, false, killing{}
	if c.init && !c.sidecar && t.ExitCode == 0 {
		c.done = true
	}
	a.stopProbes(p, c)
	p.dirty = true
}

func (a *Agent) hookDone(in HookDone) {
	p, c := a.container(in.ID)
	switch {
	case c == nil || c.state != containerRunning:
		return
	case in.Pre:
		if c.kill != killHook {
			return
		}
		if in.Err != "" {
			a.sayWarning(p, c, "FailedPreStopHook", "PreStopHook failed")
		}
		c.hookOver = true
		a.sync(p)
		return
	case !c.hooking:
		return
	case in.Err != "":
		// The round waits until the container has ended.
		c.hooking, c.hookError = false, in.Err
		a.sayWarning(p, c, "FailedPostStartHook", "PostStartHook failed")
		if c.kill == killNone {
			a.kill(p, c, "FailedPostStartHook", p.graceSeconds())
		}
		a.sync(p)
		return
	default:
		a.begun(p, c)
	}
	p.dirty = true
	a.sync(p)
}

// deadlines adds the container's.
func (c *container) deadlines(p *pod, s *soonest) {
	switch {
	case c.state == containerRunning:
		if c.kill == killHook || c.kill == killTurn {
			s.add(c.graceEnds())
		}
		if c.probes != nil {
			for i := range c.probes {
				s.add(c.probes[i].at(p))
			}
		}
	case p.stage == stageRun && (c.state == containerIdle || c.state == containerExited):
		s.add(c.notBefore)
		s.add(c.settleAt)
	}
}

// unstart takes a start back for which nothing has been created yet.
func (p *pod) unstart(c *container) {
	c.state = containerIdle
	if c.term != nil {
		c.state = containerExited
	}
	if p.starting == c {
		p.starting = nil
	}
}
