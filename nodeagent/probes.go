package nodeagent

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// probe is one probe of one run of a container. The rules are those of the
// kubelet's prober: its ticks are counted from when the pod was first seen, so a
// container's first probe comes at the first tick after its initial delay;
// readiness, with no delay, is also asked at once.
type probe struct {
	spec   *corev1.Probe
	kind   ProbeKind
	next   time.Time // the next time to ask; zero is not until something changes
	asked  bool      // an answer is due
	steady bool      // the world vouches for the last answer
	ok     bool      // the last answer
	run    int32     // how often in a row it came
	result bool      // the probe's result: what has come often enough
}

// probe is the container's probe of a kind; nil if it has none.
func (c *container) probe(kind ProbeKind) *probe {
	if c.probes == nil || kind < Liveness || kind > Startup || c.probes[kind-1].spec == nil {
		return nil
	}
	return &c.probes[kind-1]
}

func (b *probe) period() time.Duration { return seconds(b.spec.PeriodSeconds, 10) }
func (b *probe) delay() time.Duration  { return time.Duration(b.spec.InitialDelaySeconds) * time.Second }

// enough says that the last answer has come often enough to count.
func (b *probe) enough() bool {
	if b.ok {
		return b.run >= max(b.spec.SuccessThreshold, 1)
	}
	threshold := b.spec.FailureThreshold
	if threshold <= 0 {
		threshold = 3
	}
	return b.run >= threshold
}

// seconds is a field of a probe, or the API's default where it is not set.
func seconds(n, otherwise int32) time.Duration {
	if n <= 0 {
		n = otherwise
	}
	return time.Duration(n) * time.Second
}

// tick is the first of the probe's ticks at or after a time.
func (b *probe) tick(p *pod, from time.Time) time.Time {
	since, period := from.Sub(p.seenAt), b.period()
	if since <= 0 {
		return p.seenAt
	}
	return p.seenAt.Add((since + period - 1) / period * period)
}

// at is the probe's deadline; zero is none.
func (b *probe) at(p *pod) time.Time {
	if b.spec == nil || b.asked || p.stage == stageStop && b.kind != Readiness {
		return time.Time{}
	}
	return b.next
}

// startProbes begins the probes of a container that has just started. Until its
// startup probe has succeeded the others wait.
func (a *Agent) startProbes(p *pod, c *container) {
	if s := c.spec; s.LivenessProbe != nil || s.ReadinessProbe != nil || s.StartupProbe != nil {
		c.probes = &[3]probe{
			Liveness - 1:  {spec: s.LivenessProbe, kind: Liveness},
			Readiness - 1: {spec: s.ReadinessProbe, kind: Readiness},
			Startup - 1:   {spec: s.StartupProbe, kind: Startup},
		}
	}
	if b := c.probe(Startup); b != nil {
		b.next = b.tick(p, later(a.now, c.startedAt.Add(b.delay())))
		return
	}
	a.setStarted(p, c)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// setStarted lets the liveness and readiness probes begin.
func (a *Agent) setStarted(p *pod, c *container) {
	c.started, c.passed = true, true
	p.dirty = true
	for _, kind := range [...]ProbeKind{Liveness, Readiness} {
		b := c.probe(kind)
		if b == nil {
			continue
		}
		from := later(a.now, c.startedAt.Add(b.delay()))
		b.next = b.tick(p, from)
		if kind == Readiness && from.Equal(a.now) {
			b.next = a.now
		}
	}
}

// runProbes asks those whose time has come.
func (a *Agent) runProbes(p *pod) {
	for i := range p.containers {
		c := &p.containers[i]
		if c.state != containerRunning || c.probes == nil {
			continue
		}
		for j := range c.probes {
			b := &c.probes[j]
			if at := b.at(p); at.IsZero() || a.now.Before(at) {
				continue
			}
			b.asked, b.next = true, time.Time{}
			a.do(RunProbe{ID: c.id(p), Pod: p.api, Kind: b.kind, Probe: b.spec, Timeout: seconds(b.spec.TimeoutSeconds, 1)})
		}
	}
}

func (a *Agent) probeAnswered(in ProbeAnswered) {
	p, c := a.container(in.ID)
	if c == nil || c.state != containerRunning {
		return
	}
	b := c.probe(in.Probe)
	if b == nil {
		return
	}
	if !b.asked {
		a.probeNotice(p, b, in)
		return
	}
	b.asked, b.steady = false, in.Steady
	if b.ok == in.OK {
		b.run++
	} else {
		b.ok, b.run = in.OK, 1
	}
	if !in.OK {
		a.sayWarning(p, c, "Unhealthy", b.kind.String()+" probe failed: "+in.Output)
	}
	settled := b.enough()
	if !settled || !in.Steady {
		b.next = b.tick(p, a.now.Add(1))
	}
	if settled {
		a.probeResult(p, c, b)
	}
	a.sync(p)
}

// probeNotice takes an answer that was not asked for: the world tells that what
// it vouched for has changed. The agent asks again from the next tick.
func (a *Agent) probeNotice(p *pod, b *probe, in ProbeAnswered) {
	if !b.steady || in.Steady && in.OK == b.ok {
		return
	}
	b.steady = false
	if b.next.IsZero() {
		b.next = b.tick(p, a.now)
	}
	a.sync(p)
}

// probeResult acts on a result that has come often enough.
func (a *Agent) probeResult(p *pod, c *container, b *probe) {
	changed := b.result != b.ok
	b.result = b.ok
	switch {
	case b.kind == Readiness:
		if changed {
			p.dirty, p.inPass = true, false // is told at once, as in the kubelet
		}
	case b.ok && b.kind == Startup:
		if !c.started {
			a.setStarted(p, c)
		}
		b.next = time.Time{}
	case !b.ok:
		b.next = time.Time{}
		a.unhealthy(p, c, b)
	}
}

// unhealthy kills a container that failed its liveness or startup probe.
func (a *Agent) unhealthy(p *pod, c *container, b *probe) {
	if p.stage != stageRun || c.kill != killNone {
		return
	}
	message := "Container " + c.spec.Name + " failed " + b.word() + " probe"
	c.forced = p.api.Spec.RestartPolicy != corev1.RestartPolicyNever || c.sidecar
	if c.forced {
		message += ", will be restarted"
	}
	grace := p.graceSeconds()
	if own := b.spec.TerminationGracePeriodSeconds; own != nil {
		grace = *own
	}
	a.kill(p, c, message, grace)
}

func (b *probe) word() string {
	if b.kind == Startup {
		return "startup"
	}
	return "liveness"
}

// stopProbes ends the probes of a run.
func (a *Agent) stopProbes(p *pod, c *container) {
	if c.probes == nil {
		return
	}
	vouched := false
	for i := range c.probes {
		vouched = vouched || c.probes[i].steady
	}
	c.probes = nil
	if vouched {
		a.do(StopProbes{c.id(p)})
	}
}
