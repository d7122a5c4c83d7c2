package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/live/agent/container"
	"seatrial.dev/seatrial/live/client"
	"seatrial.dev/seatrial/live/image"
	podnet "seatrial.dev/seatrial/live/network"
	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/nodeagent"
)

// inboxMax is how many messages wait for the loop; whoever has one more waits, too.
const inboxMax = 1024

// tick is how often the loop shows that it is alive.
const tick = 2 * time.Second

// Agent is the node agent of this host.
type Agent struct {
	cfg      Config
	member   *Membership // as it was at the start; its certificate may have been renewed
	client   *client.Client
	recorder *client.Recorder
	images   *image.Store
	runtime  *runtime.Client
	host     container.Host

	inbox   chan any // for the loop: a nodeagent.Input, store.Event, runtime.Exit or synced
	alive   atomic.Int64
	ownNode atomic.Pointer[corev1.Node]

	certificate atomic.Pointer[tls.Certificate] // of now
	memory      int64

	net      hostNetwork
	services services
	proxy    serviceProxy
	routes   routes
	problems problems
	tokens   tokens
	pods     pods

	tasks sync.WaitGroup
	ctx   context.Context // of Run

	// What follows is the loop's own.
	core      *nodeagent.Agent
	effects   []nodeagent.Effect
	alarm     *time.Timer
	seen      map[kinds.Key]types.UID
	adoptable map[types.UID]*nodeagent.Adopted
	listed    bool        // all pods have been seen once
	imagesAt  time.Time   // of the image store, when it was last looked at
	leftovers []types.UID // of whom there was something on the host at the start
}

// synced says that all pods have been told once.
type synced struct{}

// New opens what the host has and joins the cluster, if the host has not. Close lets go
// of it.
func New(ctx context.Context, cfg Config) (*Agent, error) {
	if err := cfg.complete(); err != nil {
		return nil, &InputError{fmt.Errorf("agent: %w", err)}
	}
	if !cfg.NodeIP.IsValid() {
		var err error
		if cfg.NodeIP, err = ownIP(cfg.Server); err != nil {
			return nil, err
		}
	}
	for _, dir := range []string{"pki", "pods", "logs", "network", "containers"} {
		if err := os.MkdirAll(filepath.Join(cfg.DataDir, dir), 0o700); err != nil {
			return nil, err
		}
	}
	a := &Agent{cfg: cfg, host: container.ThisHost(), inbox: make(chan any, inboxMax), seen: map[kinds.Key]types.UID{}, adoptable: map[types.UID]*nodeagent.Adopted{}}
	a.net.ready = make(chan struct{})
	a.proxy = serviceProxy{bell: make(bell, 1), events: make(chan store.Event, proxyQueue)}
	a.problems.bell = make(bell, 1)
	a.routes = routes{bell: make(bell, 1), byNode: map[string]podnet.NodeRoute{}}
	var err error
	if a.member, err = membership(ctx, &a.cfg); err != nil {
		return nil, err
	}
	pool, err := a.member.Pool()
	if err != nil {
		return nil, err
	}
	pair, err := a.member.TLS()
	if err != nil {
		return nil, err
	}
	a.certificate.Store(&pair)
	if a.client, err = client.New(client.Config{Server: cfg.Server, CA: pool, Certificate: &pair, UserAgent: "seatrial-agent"}); err != nil {
		return nil, err
	}
	a.recorder = client.NewRecorder(a.client)
	if a.images, err = image.Open(cfg.ImageDir, image.Config{Containers: filepath.Join(cfg.DataDir, "containers"), PlainHTTP: cfg.PlainHTTP}); err != nil {
		return nil, err
	}
	a.runtime, err = runtime.Open(runtime.Config{StateDir: filepath.Join(cfg.DataDir, "runtime"), Binary: cfg.RuntimeBinary, CgroupRoot: cfg.CgroupRoot})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Close lets go of the host; containers run on. It is called once, after Run.
func (a *Agent) Close() {
	a.runtime.Close()
	a.net.close()
	a.client.Close()
}

// Run is an agent from its start to the context's end.
func Run(ctx context.Context, cfg Config) error {
	a, err := New(ctx, cfg)
	if err != nil {
		return err
	}
	defer a.Close()
	return a.Run(ctx)
}

// Membership is what the host has been given by joining; read only.
func (a *Agent) Membership() *Membership { return a.member }

// NodeName is the node's name.
func (a *Agent) NodeName() string { return a.cfg.NodeName }

// Client speaks to the API as this node.
func (a *Agent) Client() *client.Client { return a.client }

// Runtime is that of this host's containers.
func (a *Agent) Runtime() *runtime.Client { return a.runtime }

func (a *Agent) log(format string, args ...any) { a.cfg.Log(fmt.Sprintf(format, args...)) }

// Run works until the context ends.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer a.tasks.Wait()
	defer cancel()
	a.ctx = ctx
	a.touch()
	a.alarm = time.NewTimer(time.Hour)
	a.alarm.Stop()
	defer a.alarm.Stop()
	node, err := a.cfg.template()
	if err != nil {
		return err
	}
	a.memory = node.Status.Capacity.Memory().Value()
	a.services.allocatable = node.Status.Allocatable
	if err := a.adopt(ctx); err != nil {
		return err
	}
	node.Status.Images, err = a.imagesNow()
	if err != nil {
		return err
	}
	a.core = nodeagent.New(a.cfg.NodeName, coreConfig())
	a.input(nodeagent.Booted{Node: node})
	a.begin(ctx)
	return a.loop(ctx)
}

// coreConfig differs from the kubelet's in that images are pulled side by side.
func coreConfig() nodeagent.Config {
	c := nodeagent.Defaults()
	c.ParallelPullsMax = 4
	return c
}

// begin starts everything that talks to the loop.
func (a *Agent) begin(ctx context.Context) {
	a.tasks.Go(func() { a.recorder.Run(ctx) })
	a.tasks.Go(func() { a.beat(ctx) })
	a.tasks.Go(func() { a.keepCertificate(ctx) })
	a.tasks.Go(func() { a.serveProxy(ctx) })
	a.tasks.Go(func() { a.serveStreams(ctx) })
	a.tasks.Go(func() { a.serveGossip(ctx) })
	a.tasks.Go(func() { a.refreshVolumes(ctx) })
	a.tasks.Go(func() { a.watchHost(ctx) })
	a.tasks.Go(func() { a.watchUsage(ctx) })
	a.tasks.Go(func() {
		for {
			select {
			case e, ok := <-a.runtime.Exits():
				if !ok {
					return
				}
				a.tell(e)
			case <-ctx.Done():
				return
			}
		}
	})
	a.follow(ctx, kinds.Node, client.Selection{Fields: "metadata.name=" + a.cfg.NodeName}, client.Sink{Event: func(e store.Event) { a.tell(e) }})
	a.follow(ctx, kinds.Pod, client.Selection{Fields: "spec.nodeName=" + a.cfg.NodeName},
		client.Sink{Event: func(e store.Event) { a.tell(e) }, Synced: func() { a.tell(synced{}) }})
	a.followNetwork(ctx)
}

func (a *Agent) follow(ctx context.Context, k kinds.Kind, s client.Selection, sink client.Sink) {
	sink.Failed = func(err error) {
		if !errors.Is(err, context.Canceled) {
			a.log("%v", err)
		}
	}
	a.tasks.Go(func() { a.client.Follow(ctx, k, s, sink) })
}

// tell hands a message to the loop, unless the agent ends before.
func (a *Agent) tell(m any) {
	select {
	case a.inbox <- m:
	case <-a.ctx.Done():
	}
}

func (a *Agent) touch() { a.alive.Store(time.Now().UnixNano()) }

// loop gives the agent one input after the other.
func (a *Agent) loop(ctx context.Context) error {
	beat := time.NewTicker(tick)
	defer beat.Stop()
	for {
		a.touch()
		select {
		case m := <-a.inbox:
			a.take(m)
		case <-a.alarm.C:
			a.input(nodeagent.Woken{})
		case <-beat.C:
			a.lookAtImages()
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *Agent) take(m any) {
	switch m := m.(type) {
	case nodeagent.Input:
		a.input(m)
	case store.Event:
		switch o := m.Object.(type) {
		case *corev1.Node:
			if m.Type != store.Deleted {
				a.nodeSeen(o)
			}
		case *corev1.Pod:
			a.podEvent(m.Type, o)
		}
	case runtime.Exit:
		a.exit(m)
	case synced:
		a.allSeen()
	default:
		panic(fmt.Sprintf("agent: the loop knows no message %T", m))
	}
}

// input gives one input to the agent and carries its effects out.
func (a *Agent) input(in nodeagent.Input) {
	a.effects = a.core.Step(time.Now(), in, a.effects[:0])
	for _, e := range a.effects {
		a.do(e)
	}
	clear(a.effects)
}

func (a *Agent) nodeSeen(n *corev1.Node) {
	a.ownNode.Store(n)
	a.networkFor(n)
	a.input(nodeagent.NodeSeen{Node: n})
}

// podEvent turns an event of the watch into inputs.
func (a *Agent) podEvent(t store.Type, pod *corev1.Pod) {
	key := kinds.KeyOf(pod)
	if uid, ok := a.seen[key]; ok && (t == store.Deleted || uid != pod.UID) {
		delete(a.seen, key)
		a.podGone(key, uid)
	}
	if t == store.Deleted {
		return
	}
	if why := unsafeNames(pod); why != "" {
		a.log("pod %q is left alone: %s", key, why)
		return
	}
	if _, ok := a.seen[key]; !ok {
		a.lookAtImages() // what the pod needs may have been brought for it
	}
	a.seen[key] = pod.UID
	a.refuseChanges(a.pods.of(pod.UID).seen(), pod)
	a.pods.see(pod)
	if found := a.adoptable[pod.UID]; found != nil {
		delete(a.adoptable, pod.UID)
		a.input(*found)
		a.proxy.wake() // it may have ports on the host
	}
	a.input(nodeagent.PodSeen{Pod: pod})
}

// unsafeNames says what of a pod's names cannot be a file's: folders are called by them,
// and no server, however broken, is to have others removed.
func unsafeNames(pod *corev1.Pod) string {
	names := []string{string(pod.UID), pod.Namespace, pod.Name}
	for i := range pod.Spec.Volumes {
		names = append(names, pod.Spec.Volumes[i].Name)
	}
	for _, c := range containersOf(pod) {
		names = append(names, c.Name)
	}
	for _, n := range names {
		if n == "" || n == "." || n == ".." || strings.ContainsAny(n, "/\x00") {
			return fmt.Sprintf("%q cannot be the name of a folder", n)
		}
	}
	return ""
}

func (a *Agent) podGone(key kinds.Key, uid types.UID) {
	a.input(nodeagent.PodGone{Key: key, UID: uid})
	p := a.pods.of(uid)
	p.gone.Store(true)
	a.queue(p, func(ctx context.Context) { a.forgetIfDone(ctx, p) })
}

// do carries out an effect, elsewhere.
func (a *Agent) do(e nodeagent.Effect) {
	switch e := e.(type) {
	case nodeagent.PullImage:
		a.tasks.Go(func() { a.tell(a.pull(a.ctx, e)) })
	case nodeagent.MakeSandbox:
		p := a.pods.of(e.Pod.UID)
		a.queue(p, func(ctx context.Context) { a.tell(a.makeSandbox(ctx, p, e.Pod)) })
	case nodeagent.StopSandbox:
		p := a.pods.of(e.Pod)
		a.queue(p, func(ctx context.Context) {
			a.stopSandbox(ctx, p)
			a.tell(nodeagent.SandboxGone{Pod: e.Pod})
		})
	case nodeagent.StartContainer:
		p := a.pods.of(e.ID.Pod)
		a.queue(p, func(ctx context.Context) { a.tell(a.startContainer(ctx, p, e)) })
	case nodeagent.KillContainer:
		a.queue(a.pods.of(e.ID.Pod), func(ctx context.Context) { a.kill(ctx, e) })
	case nodeagent.RunHook:
		a.tasks.Go(func() { a.tell(a.hook(a.ctx, e)) })
	case nodeagent.RunProbe:
		a.tasks.Go(func() { a.tell(a.probe(a.ctx, e)) })
	case nodeagent.StopProbes: // nothing is vouched for here
	case nodeagent.Write:
		a.tasks.Go(func() {
			_, err := a.client.Do(a.ctx, e.Request)
			if err != nil && a.ctx.Err() == nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) {
				a.log("%s: %v", e.Request, err)
			}
			a.tell(nodeagent.Wrote{Tag: e.Tag, Err: err})
		})
	case nodeagent.Say:
		a.recorder.Record(e.Note)
	case nodeagent.WakeAt:
		a.alarm.Stop()
		if !e.At.IsZero() {
			a.alarm.Reset(max(time.Until(e.At), 0))
		}
	default:
		panic(fmt.Sprintf("agent: there is no effect %T", e))
	}
}
