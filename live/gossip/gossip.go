package gossip

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// DefaultPort is for UDP and TCP.
const DefaultPort = 7946

// KeyBytes is the length of the key: AES-256.
const KeyBytes = 32

// doc.go says why these.
const (
	probeInterval    = 700 * time.Millisecond
	probeTimeout     = 300 * time.Millisecond
	suspicionMult    = 3
	retransmitMult   = 20
	pushPullInterval = 10 * time.Second
	deadGossip       = 30 * time.Second
	deadReclaim      = time.Second // after which a dead member's name may come from another address
	streamTimeout    = 3 * time.Second

	joinPauseMin   = 100 * time.Millisecond
	joinPauseMax   = 5 * time.Second
	reconnectEvery = 2 * time.Second
	reconnectFor   = 24 * time.Hour
	leaveMax       = 5 * time.Second
)

// Limits.
const (
	membersMax  = 5000 // of names known, those that are gone included
	pendingMax  = 2 * membersMax
	joinMax     = 64  // addresses in Config.Join
	nameBytes   = 253 // as of a node
	sendersMax  = 16  // that say farewell at once
	reportsMax  = 10  // of memberlist's complaints, each reportEvery
	reportEvery = time.Second
)

// Roles.
const (
	Server = "server"
	Agent  = "agent"
)

// Config is what a member needs to know.
type Config struct {
	Name      string     // of the node; one of its kind in the cluster
	BindAddr  netip.Addr // to listen on; not set: all
	Advertise netip.Addr // under which others reach this host; not set: BindAddr
	Port      int        // DefaultPort if 0
	Key       []byte     // KeyBytes of them, the same for all
	Join      []string   // host:port of members; tried until one of them answers
	Role      string     // Server or Agent

	// Report is told what goes wrong, from any goroutine; it must not wait. May be nil.
	Report func(error)
}

func (c *Config) complete() error {
	if c.Port == 0 {
		c.Port = DefaultPort
	}
	if !c.BindAddr.IsValid() {
		c.BindAddr = netip.IPv4Unspecified()
	}
	if !c.Advertise.IsValid() {
		c.Advertise = c.BindAddr
	}
	if c.Report == nil {
		c.Report = func(error) {}
	}
	return c.validate()
}

func (c *Config) validate() error {
	switch {
	case c.Name == "" || len(c.Name) > nameBytes || strings.ContainsAny(c.Name, "/ \n\x00"):
		return fmt.Errorf("gossip: name %q: want the node's name, of 1 to %d characters without slash or space", c.Name, nameBytes)
	case len(c.Key) != KeyBytes:
		return fmt.Errorf("gossip: the key has %d bytes: want %d, the same on all hosts", len(c.Key), KeyBytes)
	case c.Role != Server && c.Role != Agent:
		return fmt.Errorf("gossip: role %q: want %s or %s", c.Role, Server, Agent)
	case c.Port < 1 || c.Port > 65535:
		return fmt.Errorf("gossip: port %d: want 1 to 65535", c.Port)
	case c.Advertise.IsUnspecified():
		return fmt.Errorf("gossip: bound to all addresses (%s): say with Advertise which one the others should use", c.BindAddr)
	case len(c.Join) > joinMax:
		return fmt.Errorf("gossip: %d addresses to join: want at most %d; one that answers is enough", len(c.Join), joinMax)
	}
	for _, j := range c.Join {
		host, port, err := net.SplitHostPort(j)
		if n, bad := strconv.Atoi(port); err != nil || bad != nil || host == "" || n < 1 || n > 65535 {
			return fmt.Errorf("gossip: address to join %q: want host:port, like 192.168.1.10:%d", j, DefaultPort)
		}
	}
	return nil
}

// Node is a member as others see it.
type Node struct {
	Name string
	Addr netip.AddrPort
	Role string
}

// Member is this host's. Its methods may be called from any goroutine.
type Member struct {
	config Config
	life   string // of this process, so that its farewell is not held against the next
	list   *memberlist.Memberlist
	queue  *queue

	stop  context.CancelFunc
	alone func() bool // makes the end of Start's context mean nothing any more
	loops sync.WaitGroup
	close sync.Once

	mu    sync.Mutex
	known map[string]*record // of all names but this one
}

// record is what is remembered of another member.
type record struct {
	Node
	life   string
	state  Kind      // Joined, Left or Failed
	since  time.Time // of state
	leaves string    // the life that said farewell
	clash  time.Time // when another address was last reported
}

// Start opens the sockets and begins to join; it does not wait for that. The member
// stops when ctx ends, as by Close, without a farewell.
func Start(ctx context.Context, config Config) (*Member, error) { return start(ctx, config, nil) }

// start takes a transport of tests instead of sockets.
func start(ctx context.Context, config Config, transport memberlist.Transport) (*Member, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	m := &Member{
		config: config, life: newLife(), stop: stop, queue: newQueue(config.Report),
		known: map[string]*record{},
	}
	c := m.settings()
	list, err := open(c, transport)
	if err != nil {
		stop()
		m.queue.close()
		return nil, fmt.Errorf("gossip: listening on %s: %w", netip.AddrPortFrom(config.BindAddr, uint16(config.Port)), err)
	}
	m.list = list
	m.loops.Go(func() { m.join(ctx) })
	m.loops.Go(func() { m.reconnect(ctx) })
	m.alone = context.AfterFunc(ctx, m.shut)
	return m, nil
}

func open(c *memberlist.Config, transport memberlist.Transport) (*memberlist.Memberlist, error) {
	if transport == nil {
		s, err := newStreams(c.BindAddr, c.BindPort, c.Logger)
		if err != nil {
			return nil, err
		}
		transport = s
	}
	c.Transport = transport
	list, err := memberlist.Create(c)
	if err != nil {
		return nil, errors.Join(err, transport.Shutdown())
	}
	return list, nil
}

func newLife() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func (m *Member) settings() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = m.config.Name
	c.BindAddr, c.BindPort = m.config.BindAddr.String(), m.config.Port
	c.AdvertiseAddr, c.AdvertisePort = m.config.Advertise.String(), m.config.Port
	c.SecretKey = m.config.Key
	c.GossipVerifyIncoming, c.GossipVerifyOutgoing = true, true
	c.ProbeInterval, c.ProbeTimeout = probeInterval, probeTimeout
	c.SuspicionMult, c.RetransmitMult = suspicionMult, retransmitMult
	c.PushPullInterval, c.GossipToTheDeadTime = pushPullInterval, deadGossip
	c.DeadNodeReclaimTime, c.TCPTimeout = deadReclaim, streamTimeout
	d := delegate{m}
	c.Delegate, c.Events, c.Conflict, c.Alive = d, d, d, d
	c.Logger = log.New(&complaints{report: m.config.Report}, "", 0)
	return c
}

// Events are what happened to others, the newest of each; Close closes it. Whoever
// reads late sees the last state of each member, not each change.
func (m *Member) Events() <-chan Event { return m.queue.out }

// Members are those that answer, this one included, by name.
func (m *Member) Members() []Node {
	out := append(m.others(), Node{
		Name: m.config.Name, Role: m.config.Role,
		Addr: netip.AddrPortFrom(m.config.Advertise, uint16(m.config.Port)),
	})
	slices.SortFunc(out, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (m *Member) others() (out []Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, r := range m.known {
		if r.state == Joined && name != m.config.Name {
			out = append(out, r.Node)
		}
	}
	return out
}

// Leave says farewell to the others and closes: they see Left. An error means that
// some may see Failed.
func (m *Member) Leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveMax)
	defer cancel()
	err := m.farewell(ctx)
	if e := m.list.Leave(leaveMax); e != nil {
		err = errors.Join(err, e)
	}
	m.Close()
	if err != nil {
		return fmt.Errorf("gossip: leaving: %w", err)
	}
	return nil
}

// farewell tells each member by TCP, and gives them time to take it in before the
// gossip does.
func (m *Member) farewell(ctx context.Context) error {
	others := m.others()
	message := []byte(farewellPrefix + m.life + " " + m.config.Name)
	errs := make(chan error, len(others))
	free := make(chan struct{}, sendersMax)
	for _, n := range others {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		go func() {
			errs <- m.list.SendReliable(&memberlist.Node{Name: n.Name, Addr: n.Addr.Addr().AsSlice(), Port: n.Addr.Port()}, message)
			<-free
		}()
	}
	var all []error
	for range others {
		select {
		case err := <-errs:
			all = append(all, err)
		case <-ctx.Done():
			return errors.Join(append(all, ctx.Err())...)
		}
	}
	if len(others) > 0 {
		select {
		case <-time.After(probeTimeout):
		case <-ctx.Done():
		}
	}
	return errors.Join(all...)
}

// Close stops without a farewell: the others will see Failed. It may be called again.
func (m *Member) Close() {
	m.alone()
	m.shut()
}

// shut is Close, for the context's end as well.
func (m *Member) shut() {
	m.close.Do(func() {
		m.stop()
		if err := m.list.Shutdown(); err != nil {
			m.config.Report(fmt.Errorf("gossip: closing: %w", err))
		}
		m.loops.Wait()
		m.queue.close()
	})
}

// join tries the addresses until one answers.
func (m *Member) join(ctx context.Context) {
	if len(m.config.Join) == 0 {
		return
	}
	for pause := joinPauseMin; ; pause = min(2*pause, joinPauseMax) {
		for _, address := range m.config.Join {
			n, err := m.list.Join([]string{address})
			if n > 0 {
				// It has heard of the death of the one that had its name before, and
				// disproved it: this says so at once. Who dies before the next gossip would
				// not be missed.
				_, _ = m.list.Join([]string{address})
				return
			}
			if ctx.Err() != nil {
				return
			}
			m.config.Report(fmt.Errorf("gossip: joining %s: %w; trying again", address, err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// reconnect tries one of the lost at a time, in turn.
func (m *Member) reconnect(ctx context.Context) {
	tick := time.NewTicker(reconnectEvery)
	defer tick.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if lost := m.lost(); len(lost) > 0 {
			// That it does not answer is no news.
			_, _ = m.list.Join([]string{lost[turn%len(lost)]})
		}
	}
}

// lost are the addresses of members that failed, and of those to join if there is
// nobody else. It forgets those that are gone for long.
func (m *Member) lost() []string {
	alone := m.list.NumMembers() < 2
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for name, r := range m.known {
		switch {
		case r.state == Joined:
		case time.Since(r.since) > reconnectFor:
			delete(m.known, name)
		case r.state == Failed:
			out = append(out, r.Addr.String())
		}
	}
	slices.Sort(out)
	if alone {
		out = append(out, m.config.Join...)
	}
	return out
}
