package world

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/netsim"
	"seatrial.dev/seatrial/nodeagent"
	"seatrial.dev/seatrial/sim"
)

// host is one machine of the cluster: a node agent, and under it a model of the
// runtime, the disk and the images.
type host struct {
	w      *World
	id     sim.ActorID
	name   string
	number int
	node   *corev1.Node // as its agent registers it
	party  netsim.Party
	agent  *nodeagent.Agent
	stream *stream

	up     bool
	frozen bool
	held   []heldMsg // what came while it was frozen
	boots  uint64    // how often it was powered on; an answer to an earlier boot is dropped
	alarm  sim.Timer

	effects []nodeagent.Effect // reused
	seen    map[kinds.Key]types.UID
	podCIDR string

	runtime   runtime
	heartbeat // see heartbeat.go
}

type heldMsg struct {
	m     sim.Msg
	cause uint64
}

// The messages of a host, besides msgWatch and msgResume.
const (
	msgPowerOn uint16 = iota + 30
	msgInput          // Ref: nodeagent.Input; B: boot
	msgWoken          // B: boot
	msgWrote          // Ref: *call; A: tag; B: boot
	msgBeat           // the heartbeats may go on; B: boot
	msgBeatWritten
	msgExit   // Ref: *container that ends by itself; B: boot
	msgKilled // Ref: *container whose grace is over; B: boot
	msgSick   // Ref: *container whose probes fail from now on; B: boot
)

// bootSpread is the time over which a cluster's nodes power on, so that they do
// not all register and renew at one instant.
const bootSpread = 100 * time.Millisecond

func newHost(w *World, n *corev1.Node, number int) *host {
	h := &host{w: w, name: n.Name, number: number, node: withAddresses(n, number), seen: map[kinds.Key]types.UID{}}
	h.party = w.net.Join(n.Name, zoneOf(n))
	h.id = w.eng.Register(n.Name, h)
	h.stream = &stream{w: w, party: h.party, to: h.id, kind: msgWatch, resume: msgResume, down: true}
	h.runtime.images = map[string]bool{}
	return h
}

// kubeletVersion is the Kubernetes release whose node agent ours is like.
const kubeletVersion = "v1.37.2"

func zoneOf(n *corev1.Node) string { return n.Labels[corev1.LabelTopologyZone] }

// withAddresses returns a copy of the node with the addresses of host number i:
// 192.168.0.0/16 upwards from .0.2, into 172.16.0.0/12 beyond.
func withAddresses(n *corev1.Node, i int) *corev1.Node {
	n = kinds.Clone(n)
	ip := fmt.Sprintf("192.168.%d.%d", (i+2)>>8, (i+2)&0xff)
	if i+2 >= 1<<16 {
		j := i + 2 - 1<<16
		ip = fmt.Sprintf("172.%d.%d.%d", 16+j>>16, j>>8&0xff, j&0xff)
	}
	n.Status.NodeInfo = corev1.NodeSystemInfo{KubeletVersion: kubeletVersion, ContainerRuntimeVersion: "simulated://1", OSImage: "Simulated host",
		KernelVersion: "simulated", OperatingSystem: "linux", Architecture: "amd64",
		MachineID: fmt.Sprintf("%032x", sim.HashString(n.Name)), SystemUUID: fmt.Sprintf("%032x", sim.HashString(n.Name+"/system"))}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}, {Type: corev1.NodeHostName, Address: n.Name}}
	return n
}

func (h *host) schedulePowerOn() {
	spread := time.Duration(sim.HashString(h.name) % uint64(bootSpread))
	h.w.eng.At(h.w.eng.Now()+spread, h.id, sim.Msg{Kind: msgPowerOn})
}

// Handle implements sim.Actor.
func (h *host) Handle(m sim.Msg) {
	if m.Kind == msgPowerOn {
		h.powerOn()
		return
	}
	if !h.up {
		h.dropped(m)
		return
	}
	if h.frozen {
		h.held = append(h.held, heldMsg{m, h.w.eng.Cause()})
		return
	}
	h.take(m)
}

// dropped gives back what a message to a dead host carries.
func (h *host) dropped(m sim.Msg) {
	if c, ok := m.Ref.(*call); ok {
		h.w.server.done(c)
	}
}

func (h *host) take(m sim.Msg) {
	switch m.Kind {
	case msgWatch:
		if h.stream.arrives(m.B) {
			h.watched(h.w.server.event(m.A))
		}
	case msgResume:
		if h.stream.resumed(m.B) {
			h.relist()
		}
	case msgWrote:
		h.wrote(m)
	case msgBeat:
		if m.B == h.boots {
			h.beat()
		}
	case msgBeatWritten:
		h.beatWritten(m.Ref.(*call))
	default:
		if m.B == h.boots {
			h.event(m)
		}
	}
}

// event handles what happened on the host itself in this boot.
func (h *host) event(m sim.Msg) {
	switch m.Kind {
	case msgInput:
		h.happens(m.Ref.(nodeagent.Input))
	case msgWoken:
		h.alarm = sim.Timer{}
		h.input(nodeagent.Woken{})
	case msgExit:
		h.exits(m.Ref.(*container), false)
	case msgKilled:
		h.exits(m.Ref.(*container), true)
	case msgSick:
		h.sickens(m.Ref.(*container))
	}
}

// happens gives an answer of the runtime to the agent, once the runtime itself has
// taken note of it.
func (h *host) happens(in nodeagent.Input) {
	switch i := in.(type) {
	case nodeagent.ImagePulled:
		in = h.pulled(i)
	case nodeagent.ContainerStarted:
		if i.Err == "" {
			h.started(i.ID)
		}
	}
	h.input(in)
}

// powerOn starts the agent and lets it list its pods.
func (h *host) powerOn() {
	if h.up {
		return
	}
	h.w.eng.Describe("powers on", "node/"+h.name, "")
	h.up, h.frozen = true, false
	h.boots++
	h.agent = nodeagent.New(h.name, nodeagent.Defaults())
	h.runtime.reset()
	clear(h.seen)
	h.stream.down = false
	h.input(nodeagent.Booted{Node: h.withImages()})
	h.stream.resumeAfter(h.w.net.Latency(h.w.server.party, h.party))
	h.connectionChanged()
}

// withImages is the node with the images that its disk has kept, in the order of
// their names.
func (h *host) withImages() *corev1.Node {
	if len(h.runtime.images) == 0 {
		return h.node
	}
	n := *h.node
	n.Status.Images = nil
	for _, name := range slices.Sorted(maps.Keys(h.runtime.images)) {
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{name}, SizeBytes: h.w.scn.Behaviour(name).SizeBytes})
	}
	return &n
}

// powerOff loses everything but the disk.
func (h *host) powerOff() {
	h.up, h.frozen = false, false
	h.boots++
	h.stream.down, h.stream.coming = true, false
	for _, m := range h.held {
		h.dropped(m.m)
	}
	h.held = nil
	h.w.eng.Cancel(h.alarm)
	h.alarm = sim.Timer{}
	h.connectionChanged()
}

func (h *host) freeze() {
	h.frozen = true
	h.connectionChanged()
}

// thaw lets everything that came meanwhile happen now, in order.
func (h *host) thaw() {
	h.frozen = false
	held := h.held
	h.held = nil
	for _, m := range held {
		h.w.eng.AtBecause(h.w.eng.Now(), h.id, m.m, m.cause)
	}
	h.connectionChanged()
}

// input gives one input to the agent and carries its effects out.
func (h *host) input(in nodeagent.Input) {
	eng := h.w.eng
	if eng.Recording() {
		h.describe(in)
	}
	h.effects = h.agent.Step(eng.Date(), in, h.effects[:0])
	for _, e := range h.effects {
		h.do(e)
	}
	clear(h.effects)
}

func (h *host) do(e nodeagent.Effect) {
	switch e := e.(type) {
	case nodeagent.PullImage:
		h.pull(e)
	case nodeagent.MakeSandbox:
		h.makeSandbox(e)
	case nodeagent.StopSandbox:
		h.runtime.freeAddress(e.Pod)
		h.soon(sandboxStop, nodeagent.SandboxGone{Pod: e.Pod})
	case nodeagent.StartContainer:
		h.startContainer(e)
	case nodeagent.KillContainer:
		h.kill(e)
	case nodeagent.RunHook:
		h.soon(hookTime, nodeagent.HookDone{ID: e.ID, Pre: e.Pre})
	case nodeagent.RunProbe:
		h.probe(e)
	case nodeagent.StopProbes:
		if c := h.runtime.containers[e.ID]; c != nil {
			c.asked = 0
		}
	case nodeagent.Write:
		h.w.server.call(call{req: e.Request, from: h.party, to: h.id, kind: msgWrote, a: e.Tag, b: h.boots})
	case nodeagent.Say:
		h.w.server.note(h.party, e.Note)
	case nodeagent.WakeAt:
		h.w.eng.Cancel(h.alarm)
		h.alarm = sim.Timer{}
		if !e.At.IsZero() {
			at := max(h.w.eng.SinceStart(e.At), h.w.eng.Now())
			h.alarm = h.w.eng.At(at, h.id, sim.Msg{Kind: msgWoken, B: h.boots})
		}
	default:
		panic(fmt.Sprintf("world: host %s knows no effect %T", h.name, e))
	}
}

// soon gives an input to the agent after d, unless the host dies before.
func (h *host) soon(d time.Duration, in nodeagent.Input) {
	h.w.eng.After(d, h.id, sim.Msg{Kind: msgInput, Ref: in, B: h.boots})
}

func (h *host) wrote(m sim.Msg) {
	c := m.Ref.(*call)
	err, ref := c.err, c.req.Ref
	h.w.server.done(c)
	if m.B != h.boots {
		return
	}
	if ref.Kind == kinds.Node && err == nil && !h.registered {
		h.registered = true
		h.connectionChanged()
	}
	h.input(nodeagent.Wrote{Tag: m.A, Err: err})
}

// watched turns an event of the watch into an input.
func (h *host) watched(e store.Event) {
	switch o := e.Object.(type) {
	case *corev1.Node:
		if e.Type != store.Deleted {
			h.nodeSeen(o)
		}
	case *corev1.Pod:
		h.podEvent(e.Type, o)
	}
}

func (h *host) nodeSeen(n *corev1.Node) {
	h.runtime.setCIDR(n.Spec.PodCIDR)
	h.input(nodeagent.NodeSeen{Node: n})
}

func (h *host) podEvent(t store.Type, pod *corev1.Pod) {
	key := kinds.KeyOf(pod)
	if uid, ok := h.seen[key]; ok && (t == store.Deleted || uid != pod.UID) {
		delete(h.seen, key)
		delete(h.runtime.lives, uid)
		h.input(nodeagent.PodGone{Key: key, UID: uid})
	}
	if t != store.Deleted {
		h.seen[key] = pod.UID
		h.input(nodeagent.PodSeen{Pod: pod})
	}
}

// relist compares what the API has with what the agent has seen.
func (h *host) relist() {
	st := h.w.server.Store()
	if n, ok := st.Get(ref(kinds.Node, h.name)).(*corev1.Node); ok {
		h.nodeSeen(n)
	}
	gone := make(map[kinds.Key]types.UID, len(h.seen))
	for key, uid := range h.seen {
		gone[key] = uid
	}
	for o := range st.List(kinds.Pod, "") {
		if pod := o.(*corev1.Pod); pod.Spec.NodeName == h.name {
			if gone[kinds.KeyOf(pod)] == pod.UID {
				delete(gone, kinds.KeyOf(pod))
			}
			h.podEvent(store.Modified, pod)
		}
	}
	for _, key := range sortedKeys(gone) {
		if h.seen[key] == gone[key] {
			delete(h.seen, key)
			h.input(nodeagent.PodGone{Key: key, UID: gone[key]})
		}
	}
}
