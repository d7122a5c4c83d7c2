package testbed

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/certs"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/live/client"
	"seatrial.dev/seatrial/live/image"
	"seatrial.dev/seatrial/live/lab"
	"seatrial.dev/seatrial/live/network"
	"seatrial.dev/seatrial/live/server"
	"seatrial.dev/seatrial/scenarios"
)

// Limits of bringing a cluster up.
const (
	NodesMax   = 30 // a machine's memory and process numbers are shared by all
	apiMax     = 60 * time.Second
	readyMax   = 90 * time.Second
	askEvery   = 50 * time.Millisecond
	apiPort    = "6443"
	programDir = lab.BinDir
)

// Where things are, as a host sees them.
const (
	imagesDir = "/run/seatrial/images"

	schedulerConfig = "/run/seatrial/scheduler.yaml"
	serverData      = lab.DataDir + "/server"
	agentData       = lab.DataDir + "/agent"
	tokenFile       = "token"
)

// The programs beside seatrial.
const (
	agentProgram   = "seatrial-agent"
	runtimeProgram = "seatrial-runtime"
)

// Names of the services of hosts.
const (
	Server = "server"
	Agent  = "agent"
)

// Config says what the cluster is to be.
type Config struct {
	Name   string       // of the lab; lab.DefaultName if ""
	Dir    string       // of the lab; lab.DefaultDir if ""
	Subnet netip.Prefix // of the lab; its default if not set
	Binary string       // the program seatrial; seatrial-agent and seatrial-runtime are beside it

	Nodes   []*corev1.Node // names, labels, taints and capacity
	Network scenarios.Network
	Mode    network.Mode  // how packets get to other hosts' pods; network.Direct if ""
	Images  []string      // OCI layouts or archives for the hosts' image store
	Made    []image.Named // more images for it
	// NoRegistry lets the store be all the images there are: no registry is asked.
	NoRegistry bool

	// Scheduler is a file of the scheduler's configuration; "" for the default.
	Scheduler string

	// Say tells how far it is; nil: nobody hears.
	Say func(text string)
}

// Testbed is a cluster that is up.
type Testbed struct {
	lab        *lab.Lab
	dir        string
	nodes      []string
	client     *client.Client
	kubeconfig string
}

// Check fills in what is not said, and refuses what is wrong before anything is made.
func (c *Config) Check() error {
	if c.Name == "" {
		c.Name = lab.DefaultName
	}
	if c.Dir == "" {
		c.Dir = lab.DefaultDir
	}
	if !c.Subnet.IsValid() {
		c.Subnet = lab.DefaultSubnet
	}
	if c.Mode == "" {
		c.Mode = network.Direct
	}
	if c.Mode != network.Direct && c.Mode != network.VXLAN {
		return fmt.Errorf("network mode %q: want %s or %s", c.Mode, network.Direct, network.VXLAN)
	}
	if c.Scheduler != "" { // hosts bind it, and have a folder of their own
		at, err := filepath.Abs(c.Scheduler)
		if err != nil {
			return err
		}
		c.Scheduler = at
	}
	if c.Say == nil {
		c.Say = func(string) {}
	}
	if err := lab.Check(c.Name, c.Subnet); err != nil {
		return err
	}
	for _, taken := range []struct{ of, cidr string }{{"pods", c.Network.PodCIDR}, {"services", c.Network.ServiceCIDR}} {
		if p, err := netip.ParsePrefix(taken.cidr); err == nil && p.Overlaps(c.Subnet) {
			return fmt.Errorf("subnet %s of the hosts overlaps %s of the %s: choose another, like %s", c.Subnet, p, taken.of, lab.DefaultSubnet)
		}
	}
	for _, file := range c.Images {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("images: %w", err)
		}
	}
	if len(c.Nodes) == 0 || len(c.Nodes) > NodesMax {
		return fmt.Errorf("%d nodes: a lab has 1 to %d", len(c.Nodes), NodesMax)
	}
	for _, program := range []string{agentProgram, runtimeProgram} {
		if _, err := os.Stat(filepath.Join(filepath.Dir(c.Binary), program)); err != nil {
			return fmt.Errorf("%w; want it beside %s: make build makes all of them", err, c.Binary)
		}
	}
	return nil
}

// Up makes the lab and waits until all nodes are ready. If that fails, nothing of it is
// left.
func Up(ctx context.Context, cfg Config) (t *Testbed, err error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	t = &Testbed{dir: cfg.Dir}
	for _, n := range cfg.Nodes {
		t.nodes = append(t.nodes, n.Name)
	}
	cfg.Say(fmt.Sprintf("making %d hosts", len(cfg.Nodes)+1))
	if t.lab, err = lab.Up(ctx, cfg.lab()); err != nil {
		return nil, err
	}
	if err := t.up(ctx, &cfg); err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyMax)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("%w%s", err, t.lastWords()), t.lab.Down(clean))
	}
	return t, nil
}

func (t *Testbed) up(ctx context.Context, cfg *Config) error {
	images := make(chan error, 1)
	go func() { images <- t.importImages(ctx, cfg.Images, cfg.Made) }()
	cfg.Say("starting the server")
	if err := t.connect(ctx); err != nil {
		return err
	}
	if err := <-images; err != nil {
		return err
	}
	cfg.Say("starting the agents")
	token, secret, err := server.NewToken(time.Now(), server.TokenSpan, "the lab's")
	if err != nil {
		return err
	}
	if _, err := t.client.Do(ctx, api.Create(secret)); err != nil {
		return fmt.Errorf("create a token: %w", err)
	}
	hash, err := t.caHash()
	if err != nil {
		return err
	}
	for i, n := range cfg.Nodes {
		// Not as an argument, which every user of the machine can read.
		if err := os.WriteFile(filepath.Join(lab.DataPath(cfg.Dir, n.Name), tokenFile), []byte(token+"\n"), 0o600); err != nil {
			return err
		}
		if err := t.lab.AddService(ctx, n.Name, agentService(cfg, i, hash)); err != nil {
			return err
		}
	}
	if err := t.ready(ctx); err != nil {
		return err
	}
	return t.label(ctx, cfg.Nodes)
}

// label gives nodes the labels that they may not give themselves.
func (t *Testbed) label(ctx context.Context, nodes []*corev1.Node) error {
	for _, n := range nodes {
		labels := map[string]string{}
		for k, v := range n.Labels {
			if !auth.NodeMayLabel(k) {
				labels[k] = v
			}
		}
		if len(labels) == 0 {
			continue
		}
		body, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
		if err != nil {
			return err
		}
		if _, err := t.client.Do(ctx, api.Patch(kinds.RefOf(n), types.MergePatchType, body)); err != nil {
			return fmt.Errorf("label node %s: %w", n.Name, err)
		}
	}
	return nil
}

// lab is the hosts: the server's has its service from the start, the others get theirs
// when there is a token.
func (c *Config) lab() lab.Config {
	at := lab.ServerAddr(c.Subnet, 0)
	hosts := []lab.Host{c.serverHost(at)}
	for i, n := range c.Nodes {
		hosts = append(hosts, lab.Host{Name: n.Name, Addr: lab.NodeAddr(c.Subnet, i),
			Binds: []lab.Bind{{From: filepath.Join(c.Dir, "images"), To: imagesDir, Write: true}}})
	}
	return lab.Config{Name: c.Name, Dir: c.Dir, Subnet: c.Subnet, Binary: filepath.Join(filepath.Dir(c.Binary), agentProgram), Hosts: hosts, Shared: []string{"images"}}
}

// serverHost is the control plane's.
func (c *Config) serverHost(at netip.Addr) lab.Host {
	argv := []string{filepath.Join(programDir, filepath.Base(c.Binary)), "server", "--data-dir", serverData, "--advertise-address", at.String(),
		"--service-cluster-ip-range", c.Network.ServiceCIDR, "--cluster-cidr", c.Network.PodCIDR,
		"--service-node-port-range", fmt.Sprintf("%d-%d", c.Network.NodePortMin, c.Network.NodePortMax)}
	h := lab.Host{Name: scenarios.ControlPlane, Addr: at}
	if c.Scheduler != "" {
		h.Binds = []lab.Bind{{From: c.Scheduler, To: schedulerConfig}}
		argv = append(argv, "--scheduler-config", schedulerConfig)
	}
	h.Services = []lab.Service{{Name: Server, Restart: true, Argv: argv}}
	return h
}

// agentService is one node's agent. Its capacity is the scenario's: the hosts share a
// machine.
func agentService(c *Config, i int, hash string) lab.Service {
	n := c.Nodes[i]
	argv := []string{filepath.Join(programDir, agentProgram),
		"--server", "https://" + lab.ServerAddr(c.Subnet, 0).String() + ":" + apiPort, "--token-file", lab.DataDir + "/" + tokenFile, "--ca-hash", hash,
		"--node-name", n.Name, "--node-ip", lab.NodeAddr(c.Subnet, i).String(), "--data-dir", agentData, "--images-dir", imagesDir,
		// The hosts have the machine's disk and memory, of which others may use much.
		"--eviction-hard", "nodefs.available<256Mi,imagefs.available<256Mi,nodefs.inodesFree<1%,memory.available<64Mi,pid.available<1%",
		"--cgroup-root", lab.Cgroup(c.Name, n.Name) + "/pods", "--network-mode", string(c.Mode)}
	for _, k := range sorted(n.Labels) {
		if auth.NodeMayLabel(k) {
			argv = append(argv, "--label", k+"="+n.Labels[k])
		}
	}
	for _, taint := range n.Spec.Taints {
		argv = append(argv, "--taint", taint.ToString())
	}
	for _, r := range sorted(n.Status.Capacity) {
		q := n.Status.Capacity[r]
		argv = append(argv, "--capacity", string(r)+"="+q.String())
	}
	if c.NoRegistry {
		argv = append(argv, "--no-registry")
	}
	return lab.Service{Name: Agent, Restart: true, Argv: argv}
}

func sorted[K ~string, V any](m map[K]V) []K {
	list := make([]K, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// importImages fills the store that all hosts share.
func (t *Testbed) importImages(ctx context.Context, from []string, made []image.Named) error {
	if len(from)+len(made) == 0 {
		return nil
	}
	s, err := image.Open(filepath.Join(t.dir, "images"), image.Config{})
	if err != nil {
		return err
	}
	for _, file := range from {
		if _, err := s.Import(ctx, file); err != nil {
			return fmt.Errorf("import the images of %s: %w", file, err)
		}
	}
	for _, m := range made {
		if _, err := s.Add(ctx, m.Name, m.Image); err != nil {
			return err
		}
	}
	return nil
}

// Open finds the cluster of a lab that is up, and waits until its server answers; dir ""
// is lab.DefaultDir.
func Open(ctx context.Context, dir string) (*Testbed, error) {
	t, err := Find(ctx, dir)
	if err != nil {
		return nil, err
	}
	return t, t.connect(ctx)
}

// Find finds a lab that is up, for what is done to its hosts: the server need not answer,
// and Client is nil.
func Find(ctx context.Context, dir string) (*Testbed, error) {
	if dir == "" {
		dir = lab.DefaultDir
	}
	l, err := lab.Open(dir)
	if err != nil {
		return nil, err
	}
	t := &Testbed{lab: l, dir: dir}
	is, err := l.Status(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range is.Hosts {
		if h.Name != scenarios.ControlPlane {
			t.nodes = append(t.nodes, h.Name)
		}
	}
	return t, nil
}

// connect waits for the kubeconfig and for an answer of the API.
func (t *Testbed) connect(ctx context.Context) error {
	t.kubeconfig = filepath.Join(lab.DataPath(t.dir, scenarios.ControlPlane), "server", "admin.kubeconfig")
	ctx, cancel := context.WithTimeout(ctx, apiMax)
	defer cancel()
	return poll(ctx, "the server does not answer", func() error {
		if t.client == nil {
			c, err := dial(t.kubeconfig)
			if err != nil {
				return err
			}
			t.client = c
		}
		return t.client.Call(ctx, http.MethodGet, "/readyz", "", nil, nil)
	})
}

// poll asks until there is no error.
func poll(ctx context.Context, what string, ask func() error) error {
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(askEvery):
		}
	}
}

// dial makes a client of a kubeconfig with embedded certificates.
func dial(file string) (*client.Client, error) {
	cfg, err := load(file)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cfg.CertData, cfg.KeyData)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(cfg.CAData) {
		return nil, fmt.Errorf("%s: no certificate authority", file)
	}
	return client.New(client.Config{Server: cfg.Host, CA: pool, Certificate: &pair, UserAgent: "seatrial"})
}

func load(file string) (*rest.Config, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	return clientcmd.BuildConfigFromFlags("", file)
}

func (t *Testbed) caHash() (string, error) {
	cfg, err := load(t.kubeconfig)
	if err != nil {
		return "", err
	}
	ca, err := certs.ParseCerts(cfg.CAData)
	if err != nil {
		return "", err
	}
	return server.CAHash(ca[0]), nil
}

// ready waits until all nodes are.
func (t *Testbed) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyMax)
	defer cancel()
	return poll(ctx, "the nodes do not come up", func() error {
		list, _, err := t.client.List(ctx, kinds.Node, client.Selection{})
		if err != nil {
			return err
		}
		up := 0
		for _, o := range list {
			n := o.(*corev1.Node)
			if isReady(n) && n.Spec.PodCIDR != "" && !slices.ContainsFunc(n.Spec.Taints, ofTheCluster) {
				up++
			}
		}
		if up < len(t.nodes) {
			return fmt.Errorf("%d of %d are ready", up, len(t.nodes))
		}
		return nil
	})
}

func isReady(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// ofTheCluster says that controllers gave a node a taint, not the agent.
func ofTheCluster(t corev1.Taint) bool { return strings.HasPrefix(t.Key, "node.kubernetes.io/") }

// Client speaks to the API as an administrator.
func (t *Testbed) Client() *client.Client { return t.client }

// Kubeconfig is the file of one, for this machine.
func (t *Testbed) Kubeconfig() string { return t.kubeconfig }

// Lab is what the cluster is on.
func (t *Testbed) Lab() *lab.Lab { return t.lab }

// Down takes everything away.
func (t *Testbed) Down(ctx context.Context) error { return t.lab.Down(ctx) }
