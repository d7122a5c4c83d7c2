package server

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/apiserver/identity"
	"seatrial.dev/seatrial/cluster/auth/satoken"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/ctrl/all"
	"seatrial.dev/seatrial/live/etcd"
	"seatrial.dev/seatrial/live/turnstile"
)

// Limits of connections to the API. Half of the files that the process may open are left
// to etcd and all else.
const (
	connectionsMax  = 8192
	connectionShare = 8 // one address has an eighth of them: that of a node, for all its pods
)

// connections is how many may be open at a time.
func connections() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return connectionsMax / 2 // it cannot fail for a process' own
	}
	return int(min(l.Cur/2, connectionsMax))
}

// shutdownMax is how long requests that are being answered may take when the server ends.
const shutdownMax = 2 * time.Second

// Server is a control plane that has been opened and may be run once.
type Server struct {
	cfg      Config
	keys     *keys
	plane    *Plane
	who      *identity.Identity
	front    *apiserver.Server
	http     *http.Server
	listener net.Listener
	journal  *etcd.Journal
	lock     *os.File
}

// Open reads or makes the keys, opens etcd, loads the cluster and opens the port.
// Nothing is served before Run; Close is for a server that is not run.
func Open(ctx context.Context, cfg Config) (*Server, error) {
	cfg.Network.Accounts = true
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) (err error) {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return err
	}
	if s.lock, err = lockDir(s.cfg.Dir); err != nil {
		return err
	}
	if s.keys, err = openKeys(filepath.Join(s.cfg.Dir, "pki"), time.Now(), s.names(), s.cfg.CertSpan, s.cfg.Problem); err != nil {
		return err
	}
	// The port first: if it is taken, nothing has been touched.
	if s.listener, err = net.Listen("tcp", s.cfg.Listen); err != nil {
		return fmt.Errorf("open the API's port: %w; another server runs here, or choose another by --listen", err)
	}
	all := connections()
	s.listener = turnstile.New(s.listener, all, all/connectionShare)
	if err := s.openPlane(ctx); err != nil {
		return err
	}
	for _, file := range []string{filepath.Join(s.cfg.Dir, "admin.kubeconfig"), s.cfg.Kubeconfig} {
		if file == "" {
			continue
		}
		if err := s.keys.writeLogin(file, s.URL()); err != nil {
			return fmt.Errorf("write the kubeconfig: %w", err)
		}
	}
	return nil
}

// openPlane loads the cluster and puts the front before it.
func (s *Server) openPlane(ctx context.Context) error {
	// Writes of this process are heard of by clients when they are there to stay, and by
	// then there is a front.
	var hear atomic.Pointer[func(store.Event)]
	journal, loaded, err := etcd.Open(ctx, etcd.Config{Dir: filepath.Join(s.cfg.Dir, "etcd"), Endpoints: s.cfg.Etcd, TLS: s.cfg.EtcdTLS},
		func(e store.Event) { (*hear.Load())(e) })
	if err != nil {
		return err
	}
	s.journal = journal
	controllers := all.New(all.Config{PodCIDR: s.cfg.PodCIDR, RootCA: string(s.keys.authority.CertPEM())})
	if s.plane, err = newPlane(loaded, journal, &s.cfg, controllers); err != nil {
		return err
	}
	issuer, err := satoken.NewIssuer(satoken.Preset(s.cfg.Domain), s.keys.accounts)
	if err != nil {
		return err
	}
	s.cfg.Identity.Clients, s.cfg.Identity.Now, s.cfg.Identity.Problem = []*x509.Certificate{s.keys.authority.Cert}, time.Now, s.cfg.Problem
	if s.who, err = identity.New(s.plane, issuer, s.cfg.Identity); err != nil {
		return err
	}
	for _, o := range loaded.Objects {
		s.who.Observe(store.Event{Type: store.Added, Ref: kinds.RefOf(o), Object: o, RV: version(o)})
	}
	cfg := apiserver.Config{Report: func(p any, stack []byte) { s.cfg.Problem(fmt.Errorf("a request panicked: %v\n%s", p, stack)) }}
	if err := s.who.Configure(&cfg); err != nil {
		return err
	}
	cfg.Admit = s.cfg.keepAddresses(cfg.Admit)
	relay, err := NewRelay(s.plane, s.keys.relayConfig())
	if err != nil {
		return err
	}
	s.front = apiserver.New(relay, cfg)
	observe := func(e store.Event) {
		s.who.Observe(e) // before clients hear of it
		s.front.Observe(e)
	}
	hear.Store(&observe)
	s.http = s.front.HTTPServer()
	mux := http.NewServeMux()
	joins := NewJoiner(s.plane, s.keys.authority, s.cfg.CertSpan, JoinAnswer{
		GossipKey: base64.StdEncoding.EncodeToString(s.keys.gossip), Gossip: []string{netip.AddrPortFrom(s.cfg.Advertise, s.cfg.GossipPort).String()},
		ClusterDNS: s.cfg.DNSIP().String(), ClusterDomain: s.cfg.Domain, PodCIDR: s.cfg.PodCIDR, ServiceCIDR: s.cfg.Network.ServiceCIDR,
	})
	mux.Handle(JoinPath, joins)
	mux.Handle(RenewPath, joins)
	mux.Handle("/", s.front)
	s.http.Handler, s.http.TLSConfig = mux, s.keys.config()
	return nil
}

// names are what the server's certificate is for.
func (s *Server) names() []string {
	d := s.cfg.Domain
	list := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + d,
		"localhost", "127.0.0.1", s.cfg.ServiceIP().String(), s.cfg.Advertise.String()}
	if name, err := os.Hostname(); err == nil {
		list = append(list, name)
	}
	return append(list, s.cfg.Names...)
}

// URL is where agents and kubectl find the API.
func (s *Server) URL() string {
	_, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		panic("server: a listener without a port: " + err.Error())
	}
	return "https://" + net.JoinHostPort(s.cfg.Advertise.String(), port)
}

// CAHash is how agents know this server.
func (s *Server) CAHash() string { return CAHash(s.keys.authority.Cert) }

// Plane is the cluster itself.
func (s *Server) Plane() *Plane { return s.plane }

// Run serves until ctx ends or something fails for good. ready is called when requests
// are answered.
func (s *Server) Run(ctx context.Context, ready func()) error {
	run, end := context.WithCancel(context.Background())
	defer end()
	var all sync.WaitGroup
	failed := make(chan error, 3)
	start := func(f func() error) {
		all.Go(func() { failed <- f() })
	}
	start(func() error { return s.plane.Run(run) })
	if err := s.prepare(ctx); err != nil {
		end()
		all.Wait()
		return errors.Join(err, s.Close())
	}
	start(func() error {
		if err := s.http.ServeTLS(s.listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the API: %w", err)
		}
		return nil
	})
	start(func() error { return s.gossip(run) })
	ready()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		if err == nil {
			err = errors.New("a part of the server ended by itself")
		}
	}
	s.front.Close() // watches end
	shut, cancel := context.WithTimeout(context.Background(), shutdownMax)
	defer cancel()
	if e := s.http.Shutdown(shut); e != nil {
		_ = s.http.Close() // streams that do not end
	}
	end()
	all.Wait()
	return errors.Join(err, s.Close())
}

// prepare makes what a cluster has from its first start on.
func (s *Server) prepare(ctx context.Context) error {
	if err := s.plane.begin(ctx, s.apiEndpoint(), &s.cfg); err != nil {
		return err
	}
	return s.who.Prepare(ctx)
}

// apiEndpoint is where this server answers.
func (s *Server) apiEndpoint() netip.AddrPort {
	return netip.AddrPortFrom(s.cfg.Advertise, uint16(s.listener.Addr().(*net.TCPAddr).Port))
}

// Close lets go of all that Open took.
func (s *Server) Close() (err error) {
	if s.listener != nil {
		s.listener.Close() // Run has closed it, perhaps
	}
	if s.journal != nil {
		err = s.journal.Close()
	}
	if s.cfg.Identity.Audit != nil {
		err = errors.Join(err, s.cfg.Identity.Audit.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// lockDir keeps a second server from the folder.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: another server uses this folder: %w", dir, err)
	}
	return f, nil
}
