package world

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/nodeagent"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/sim"
)

// How long the runtime takes for what no scenario describes.
const (
	sandboxStart = 100 * time.Millisecond
	sandboxStop  = 20 * time.Millisecond
	hookTime     = 10 * time.Millisecond
	probeTime    = 2 * time.Millisecond
	pullRequest  = 50 * time.Millisecond // to ask the registry for a manifest
	presentCheck = 5 * time.Millisecond  // a pull of an image that is there
	pullTimeout  = 30 * time.Second      // of a registry that does not answer
	killLatency  = 5 * time.Millisecond  // from KILL until the exit is seen
)

// runtime models a host's container runtime.
type runtime struct {
	images     map[string]bool // on disk; they outlive a crash
	pulling    map[string]time.Duration
	containers map[nodeagent.ContainerID]*container
	joined     []*container                    // those among the processes of another, in the order of their starts
	lives      map[types.UID]map[string][]life // the last two of each container, for its logs
	addresses  map[types.UID]netip.Addr
	taken      map[netip.Addr]bool
	cidr       netip.Prefix
	next       netip.Addr
	waiting    []nodeagent.MakeSandbox // for the node's pod CIDR
}

// container is one run of a container.
type container struct {
	id       nodeagent.ContainerID
	target   nodeagent.ContainerID // whose processes it is among; no name for its own
	image    scenarios.Image
	exit     sim.Timer     // its end, by itself or by KILL
	stopping bool          // TERM was sent
	ready    time.Duration // from then on its probes succeed
	sick     bool
	memory   int64 // limit in bytes; 0 for none
	oom      bool  // its end will be an OOM kill
	asked    uint8 // bit by ProbeKind: an answer was vouched for
}

func (r *runtime) reset() {
	r.pulling = map[string]time.Duration{}
	r.containers, r.joined = map[nodeagent.ContainerID]*container{}, nil
	r.lives = map[types.UID]map[string][]life{}
	r.addresses, r.taken = map[types.UID]netip.Addr{}, map[netip.Addr]bool{}
	r.waiting = nil
}

// setCIDR takes the node's pod network; the first address is the bridge's.
func (r *runtime) setCIDR(cidr string) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil || p == r.cidr {
		return
	}
	r.cidr = p.Masked()
	r.next = r.cidr.Addr().Next().Next()
}

// takeAddress gives a pod the next free address of the node's pod network.
func (r *runtime) takeAddress(pod types.UID) (netip.Addr, bool) {
	if a, ok := r.addresses[pod]; ok {
		return a, true
	}
	size := 1 << (32 - r.cidr.Bits())
	for range size {
		a := r.next
		r.next = a.Next()
		if !r.cidr.Contains(r.next) || isBroadcast(r.cidr, r.next) {
			r.next = r.cidr.Addr().Next().Next()
		}
		if !r.taken[a] {
			r.taken[a], r.addresses[pod] = true, a
			return a, true
		}
	}
	return netip.Addr{}, false
}

func isBroadcast(p netip.Prefix, a netip.Addr) bool {
	b := a.As4()
	host := uint32(1)<<(32-p.Bits()) - 1
	return binary.BigEndian.Uint32(b[:])&host == host
}

func (r *runtime) freeAddress(pod types.UID) {
	if a, ok := r.addresses[pod]; ok {
		delete(r.taken, a)
		delete(r.addresses, pod)
	}
}

// pull fetches an image from the registry: a request, then size over bandwidth.
func (h *host) pull(e nodeagent.PullImage) {
	rule := h.w.scn.Behaviour(e.Image)
	done := nodeagent.ImagePulled{Image: e.Image, Pod: e.Pod, SizeBytes: rule.SizeBytes}
	rtt := 2 * h.w.net.Latency(h.party, h.w.registry)
	switch {
	case !h.w.net.Connected(h.party, h.w.registry):
		done.Took = pullTimeout
		done.Err = "failed to pull image \"" + e.Image + "\": dial tcp: i/o timeout"
	case rule.PullError != "":
		done.Took = rtt + pullRequest
		done.Err = "failed to pull image \"" + e.Image + "\": " + rule.PullError
	case h.runtime.images[e.Image]:
		done.Took = rtt + presentCheck
	default:
		seconds := rule.SizeBytes / h.w.scn.Network.RegistryBytesPerSecond
		rest := rule.SizeBytes % h.w.scn.Network.RegistryBytesPerSecond
		done.Took = rtt + pullRequest + time.Duration(seconds)*time.Second +
			time.Duration(rest*int64(time.Second/time.Microsecond)/h.w.scn.Network.RegistryBytesPerSecond)*time.Microsecond
	}
	if done.Err == "" {
		if until, ok := h.runtime.pulling[e.Image]; ok && until > h.w.eng.Now() { // joins the pull under way
			done.Took = until - h.w.eng.Now()
		} else {
			h.runtime.pulling[e.Image] = h.w.eng.Now() + done.Took
		}
	}
	h.soon(done.Took, done)
}

// pulled is called when a pull's answer arrives: the link must still be up.
func (h *host) pulled(in nodeagent.ImagePulled) nodeagent.ImagePulled {
	delete(h.runtime.pulling, in.Image)
	if in.Err == "" && !h.w.net.Connected(h.party, h.w.registry) && !h.runtime.images[in.Image] {
		in.Err = "failed to pull image \"" + in.Image + "\": read tcp: connection timed out"
	}
	if in.Err == "" {
		h.runtime.images[in.Image] = true
	}
	return in
}

// makeSandbox gives a pod its namespaces and address; without a pod network it
// waits until the node has one.
func (h *host) makeSandbox(e nodeagent.MakeSandbox) {
	if e.Pod.Spec.HostNetwork {
		h.soon(sandboxStart, nodeagent.SandboxReady{Pod: e.Pod.UID, IP: h.node.Status.Addresses[0].Address})
		return
	}
	if !h.runtime.cidr.IsValid() {
		h.soon(sandboxStart, nodeagent.SandboxReady{Pod: e.Pod.UID,
			Err: "network is not ready: the node has no pod CIDR yet"})
		return
	}
	in := nodeagent.SandboxReady{Pod: e.Pod.UID}
	if a, ok := h.runtime.takeAddress(e.Pod.UID); ok {
		in.IP = a.String()
	} else {
		in.Err = "failed to allocate for range 0: no IP addresses available in range set: " + h.runtime.cidr.String()
	}
	h.soon(sandboxStart, in)
}

func (h *host) startContainer(e nodeagent.StartContainer) {
	rule := h.w.scn.Behaviour(e.Container.Image)
	if rule.StartError != "" {
		h.soon(rule.Startup, nodeagent.ContainerStarted{ID: e.ID, Err: rule.StartError})
		return
	}
	if e.Target.Name != "" && h.runtime.containers[e.Target] == nil {
		h.soon(rule.Startup, nodeagent.ContainerStarted{ID: e.ID, Err: "CreateContainerError: container " + e.Target.Name + " does not run"})
		return
	}
	c := &container{id: e.ID, target: e.Target, image: rule}
	if e.Target.Name != "" {
		h.runtime.joined = append(h.runtime.joined, c)
	}
	if q, ok := e.Container.Resources.Limits[corev1.ResourceMemory]; ok {
		c.memory = q.Value()
	}
	h.runtime.containers[e.ID] = c
	h.soon(rule.Startup, nodeagent.ContainerStarted{ID: e.ID, RuntimeID: runtimeID(e.ID)})
}

// runtimeID is what the runtime calls a container: unique, and the same in every
// run of the seed.
func runtimeID(id nodeagent.ContainerID) string {
	const hex = "0123456789abcdef"
	b := make([]byte, 0, len("containerd://")+64)
	b = append(b, "containerd://"...)
	x := sim.HashString(string(id.Pod)) ^ sim.HashString(id.Name)*3 ^ uint64(id.Run)<<32
	for range 4 {
		x = x*0x9e3779b97f4a7c15 + 0x7f4a7c15
		for i := 60; i >= 0; i -= 4 {
			b = append(b, hex[x>>i&0xf])
		}
	}
	return string(b)
}

// started arranges what a container will do by itself.
func (h *host) started(id nodeagent.ContainerID) {
	c := h.runtime.containers[id]
	if c == nil || c.stopping {
		return
	}
	eng := h.w.eng
	c.ready = eng.Now() + c.image.ReadyAfter
	h.runtime.began(c, eng.Now())
	end := c.image.RunFor
	if oom := c.oomAfter(); oom > 0 && (end == 0 || oom < end) {
		end, c.oom = oom, true
	}
	if end > 0 {
		c.exit = eng.After(end, h.id, sim.Msg{Kind: msgExit, Ref: c, B: h.boots})
	}
	if c.image.UnhealthyAfter > 0 {
		eng.After(c.image.UnhealthyAfter, h.id, sim.Msg{Kind: msgSick, Ref: c, B: h.boots})
	}
}

// oomAfter is when a container's memory passes its limit; 0 never.
func (c *container) oomAfter() time.Duration {
	if c.memory == 0 {
		return 0
	}
	if c.image.MemoryStart > c.memory {
		return time.Millisecond
	}
	if c.image.MemoryGrowth == 0 {
		return 0
	}
	room, growth := c.memory-c.image.MemoryStart, c.image.MemoryGrowth
	return time.Duration(room/growth)*time.Minute +
		time.Duration(room%growth*int64(time.Minute/time.Microsecond)/growth)*time.Microsecond + time.Millisecond
}

// kill sends TERM, and KILL after the grace period.
func (h *host) kill(e nodeagent.KillContainer) {
	c := h.runtime.containers[e.ID]
	if c == nil {
		return
	}
	h.w.eng.Cancel(c.exit)
	c.stopping, c.oom = true, false
	stop := max(c.image.StopAfter, scenarios.StopMin)
	if stop > e.Grace {
		c.exit = h.w.eng.After(e.Grace+killLatency, h.id, sim.Msg{Kind: msgKilled, Ref: c, A: 1, B: h.boots})
		return
	}
	c.image.ExitCode = 0 // it heeds TERM
	c.exit = h.w.eng.After(stop, h.id, sim.Msg{Kind: msgExit, Ref: c, A: 1, B: h.boots})
}

func (h *host) exits(c *container, killed bool) {
	if h.runtime.containers[c.id] != c {
		return
	}
	delete(h.runtime.containers, c.id)
	h.leaves(c)
	in := nodeagent.ContainerExited{ID: c.id, ExitCode: c.image.ExitCode}
	if c.oom {
		in.ExitCode, in.Signal, in.Reason = 137, 9, "OOMKilled"
	} else if killed {
		in.ExitCode, in.Signal = 137, 9
	}
	h.runtime.ended(c, h.w.eng.Now(), in.ExitCode)
	h.input(in)
}

// leaves ends with a container those among its processes, as the kernel does.
func (h *host) leaves(c *container) {
	if len(h.runtime.joined) == 0 {
		return
	}
	h.runtime.joined = slices.DeleteFunc(h.runtime.joined, func(o *container) bool { return o == c })
	for _, o := range h.runtime.joined {
		if o.target == c.id {
			h.w.eng.Cancel(o.exit)
			o.stopping, o.oom = true, false
			o.exit = h.w.eng.After(killLatency, h.id, sim.Msg{Kind: msgKilled, Ref: o, A: 1, B: h.boots})
		}
	}
}

// probe answers a probe. An answer that cannot change by itself is vouched for.
func (h *host) probe(e nodeagent.RunProbe) {
	c := h.runtime.containers[e.ID]
	if c == nil {
		return // its exit is on the way
	}
	in := nodeagent.ProbeAnswered{ID: e.ID, Probe: e.Kind}
	switch {
	case c.sick:
		in.Output, in.Steady = "HTTP probe failed with statuscode: 500", true
	case e.Kind != nodeagent.Liveness && h.w.eng.Now()+probeTime < c.ready:
		in.Output = "connection refused"
	default:
		in.OK, in.Steady = true, true
		c.asked |= 1 << e.Kind
	}
	h.soon(probeTime, in)
}

// sickens lets a container's probes fail from now on.
func (h *host) sickens(c *container) {
	if h.runtime.containers[c.id] != c {
		return
	}
	c.sick = true
	for _, k := range [...]nodeagent.ProbeKind{nodeagent.Liveness, nodeagent.Readiness} {
		if c.asked&(1<<k) != 0 {
			h.input(nodeagent.ProbeAnswered{ID: c.id, Probe: k, Steady: true, Output: "HTTP probe failed with statuscode: 500"})
		}
	}
}

func sortedKeys[V any](m map[kinds.Key]V) []kinds.Key {
	keys := make([]kinds.Key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, kinds.Key.Compare)
	return keys
}
