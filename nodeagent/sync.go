package nodeagent

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// sync brings a pod on as far as it goes now. Every input about a pod ends here;
// what there is to do is read off the pod's state, never off the input.
func (a *Agent) sync(p *pod) {
	switch p.stage {
	case stageRun:
		a.syncRun(p)
	case stageStop:
		a.syncStop(p)
	}
	if p.stage == stageEnd {
		a.syncEnd(p)
		if a.pods[p.uid] != p {
			return
		}
	}
	a.flush(p)
	a.rearm(p)
}

// syncRun makes a round of starts. As in the kubelet, one round makes the sandbox
// and starts containers one after the other, and the pod's status is drawn up
// before and after a round and not within: a simple pod's start costs two writes.
func (a *Agent) syncRun(p *pod) {
	if at := p.activeDeadline(); !at.IsZero() && !a.now.Before(at) {
		p.failReason, p.failMessage = reasonDeadline, messageDeadline
		a.sayNormal(p, nil, reasonDeadline, messageDeadline)
		a.beginStop(p)
		return
	}
	a.settle(p)
	if !p.inPass && (a.report(p) || p.workDone()) {
		a.beginStop(p)
		return
	}
	a.runProbes(p)
	a.moveKills(p)
	for {
		p.inPass = a.advance(p)
		switch {
		case p.inPass:
			return
		case a.report(p):
			a.beginStop(p)
			return
		case !p.opening || p.sandbox != sandboxUp || len(p.guests) == 0:
			return
		}
		p.opening = false
	}
}

// activeDeadline is when the pod has been active for too long; zero is never.
func (p *pod) activeDeadline() time.Time {
	if s := p.api.Spec.ActiveDeadlineSeconds; s != nil && p.startTime != nil {
		return p.startTime.Add(time.Duration(*s) * time.Second)
	}
	return time.Time{}
}

// advance does the next steps of a round, and says whether it waits for the
// world to answer one.
func (a *Agent) advance(p *pod) (busy bool) {
	switch {
	case p.sandbox == sandboxMaking || p.starting != nil:
		return true
	case p.sandbox == sandboxNone && (a.now.Before(p.sandboxAt) || !p.wantsSandbox()):
		return false
	case p.sandbox == sandboxNone:
		p.sandbox, p.opening = sandboxMaking, true
		a.do(MakeSandbox{p.api})
		return true
	}
	for range 2*p.count() + 1 {
		c := a.nextStart(p)
		if c == nil {
			return false
		}
		a.start(p, c)
		if p.starting != nil {
			return true
		}
	}
	panic(fmt.Sprintf("nodeagent: a round of pod %s/%s does not end: %+v", p.api.Namespace, p.api.Name, p.containers))
}

// wantsSandbox says whether anything is left to be started: after a restart of
// the host, pods that have done their work get no new sandbox.
func (p *pod) wantsSandbox() bool {
	apps := p.apps()
	for i := range apps {
		if p.wantsStart(&apps[i]) {
			return true
		}
	}
	return false
}

// nextStart picks the container to be started now: init containers in order, each
// once the one before has ended well or, a sidecar, has started; then the app
// containers. Sidecars that ended later are started again at any time. Guests go
// before all of them, but not in a sandbox's first round: their targets are to be there.
func (a *Agent) nextStart(p *pod) *container {
	if !p.opening {
		for _, c := range p.guests {
			if a.startable(p, c) {
				return c
			}
		}
	}
	for i := range p.containers {
		c := &p.containers[i]
		if c.init && !c.sidecar && p.initialized {
			continue
		}
		if a.startable(p, c) {
			return c
		}
		if p.initialized || !c.init {
			continue
		}
		if c.sidecar && !c.passed || !c.sidecar && !c.done {
			return nil
		}
	}
	return nil
}

func (a *Agent) startable(p *pod, c *container) bool {
	return p.wantsStart(c) && !a.now.Before(c.notBefore) && !a.backsOff(p, c)
}

// wantsStart says whether a container that does not run is to run.
func (p *pod) wantsStart(c *container) bool {
	switch c.state {
	case containerIdle:
		return true
	case containerExited:
		if c.guest {
			return false
		}
		if c.init && !c.sidecar && c.term.ExitCode == 0 {
			return !c.done
		}
		return c.forced || restarts(&p.api.Spec, c, c.term.ExitCode)
	}
	return false
}

// restarts says whether an exit with a code is followed by a restart: by the
// container's own rules and policy where it has any, else by the pod's policy.
// (KEP-753, KEP-5307.)
func restarts(spec *corev1.PodSpec, c *container, exitCode int32) bool {
	if own := c.spec.RestartPolicy; own != nil {
		for i := range c.spec.RestartPolicyRules {
			r := &c.spec.RestartPolicyRules[i]
			if r.ExitCodes != nil && ruleMatches(r.ExitCodes, exitCode) && r.Action == corev1.ContainerRestartRuleActionRestart {
				return true
			}
		}
		return policyRestarts(corev1.RestartPolicy(*own), exitCode)
	}
	policy := spec.RestartPolicy
	if c.init && policy == corev1.RestartPolicyAlways {
		policy = corev1.RestartPolicyOnFailure
	}
	return policyRestarts(policy, exitCode)
}

func ruleMatches(r *corev1.ContainerRestartRuleOnExitCodes, exitCode int32) bool {
	in := false
	for _, v := range r.Values {
		in = in || v == exitCode
	}
	return in == (r.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn)
}

func policyRestarts(policy corev1.RestartPolicy, exitCode int32) bool {
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return exitCode != 0
	}
	return true
}

func (a *Agent) sandboxReady(in SandboxReady) {
	p := a.pods[in.Pod]
	if p == nil || p.sandbox != sandboxMaking {
		if p == nil && in.Err == "" {
			a.do(StopSandbox{in.Pod})
		}
		return
	}
	if in.Err != "" {
		p.sandbox, p.sandboxAt = sandboxNone, a.now.Add(a.cfg.SyncRetry)
		a.sandboxFailed(p, in.Err)
		p.dirty = true
		a.sync(p)
		return
	}
	p.sandbox, p.sandboxAt = sandboxUp, time.Time{}
	if p.api.Spec.HostNetwork && len(a.node.hostIPs) > 0 {
		in.IP = a.node.hostIPs[0].IP
	}
	if in.IP != "" {
		p.ips = []corev1.PodIP{{IP: in.IP}}
	}
	p.dirty = true
	a.sync(p)
}

// sandboxFailed says why there is no sandbox, and when it is tried again.
func (a *Agent) sandboxFailed(p *pod, why string) {
	message, volumes := strings.CutPrefix(why, volumesNotReady)
	switch {
	case volumes:
		p.mount.next(a.now, a.now, a.cfg.MountRetry, a.cfg.SyncRetry)
		p.sandboxAt = a.now.Add(p.mount.delay)
		a.sayWarning(p, nil, "FailedMount", message)
	case strings.HasPrefix(why, networkNotReady):
		p.sandboxAt = a.now.Add(a.cfg.NetworkRetry)
		a.sayWarning(p, nil, "NetworkNotReady", why)
	default:
		a.sayWarning(p, nil, "FailedCreatePodSandBox", "Failed to create pod sandbox: "+why)
	}
}

func (a *Agent) sandboxGone(in SandboxGone) {
	if p := a.pods[in.Pod]; p != nil && p.sandbox == sandboxStopping {
		p.sandbox = sandboxNone
		a.sync(p)
	}
}

// workDone says that every app container has ended for good: what is left are
// sidecars, which are then ended, too.
func (p *pod) workDone() bool {
	apps := p.apps()
	for i := range apps {
		if apps[i].state != containerExited || p.wantsStart(&apps[i]) {
			return false
		}
	}
	return true
}

// deadline is when the pod is to be looked at again unasked; zero is never. Times
// that have passed do not count: what they allow has been done, or waits for the
// world's answer to something else.
func (p *pod) deadline(now time.Time) time.Time {
	s := soonest{now: now}
	if p.tag == 0 {
		s.add(p.retryAt)
		s.add(p.lookAgain)
	}
	if p.stage == stageEnd {
		return s.at
	}
	if p.stage == stageRun {
		s.add(p.activeDeadline())
		if p.sandbox == sandboxNone {
			s.add(p.sandboxAt)
		}
	}
	for i := range p.count() {
		p.at(i).deadlines(p, &s)
	}
	return s.at
}
