package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/apiserver/identity"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/sim/serve"
)

type serveFlags struct {
	listen     string
	kubeconfig string
	speed      string
	seed       uint64
	record     string
	start      string
	guard      guardFlags
}

func serveCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve SCENARIO",
		Short: "Serve the API of a simulated cluster, its clock under control",
		Long: `Opens a simulated cluster to kubectl and to every other client of the Kubernetes API,
while virtual time is paused, stepped, running at a speed or as fast as it can (see
seatrial clock). A request that comes in while the clock stands is answered at the
present virtual time; what it writes takes effect, and nothing else moves. Ages that
kubectl shows are in virtual time.

It listens on the loopback interface, with TLS and certificates made for this run,
and writes a kubeconfig of an administrator. Other users have tokens
(--token-auth-file, kubectl create token), and may do what roles let them. With
--record the run is written, when it ends, as a scenario that repeats it exactly.
docs/SERVE.md tells more.`,
		Example: `  seatrial serve scenarios/guestbook.yaml --kubeconfig /tmp/kc --speed max
  kubectl --kubeconfig /tmp/kc get pods --watch
  seatrial clock --kubeconfig /tmp/kc pause`,
		Args: exactly(1, "a scenario file"),
		RunE: func(c *cobra.Command, args []string) error { return serveScenario(c, args[0], f) },
	}
	c.Flags().StringVar(&f.listen, "listen", "127.0.0.1:6443", "address to listen on, HOST:PORT; port 0 takes a free one")
	c.Flags().StringVar(&f.kubeconfig, "kubeconfig", loginFile, "write a kubeconfig for this cluster to this file")
	c.Flags().StringVar(&f.speed, "speed", "1", "of the clock: paused, max, or virtual seconds to a second")
	c.Flags().Uint64Var(&f.seed, "seed", 0, "seed of the run, instead of the scenario's")
	c.Flags().StringVar(&f.start, "start", "", "calendar time at which the run starts (2026-01-01T00:00:00Z); by default the scenario's, or now")
	c.Flags().StringVar(&f.record, "record", "", "write the run to this file, as a scenario that repeats it")
	f.guard.add(c.Flags())
	return c
}

// parseSpeed reads paused, max or a number.
func parseSpeed(s string) (float64, error) {
	switch s {
	case "paused":
		return serve.Paused, nil
	case "max":
		return serve.Max, nil
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("speed %q: want paused, max, or a number of virtual seconds to a second", s)
	}
	return n, nil
}

// startOf is the calendar time at which a served run starts. Programs such as
// kubectl describe work out ages from their own clock, so that of the cluster begins
// with it.
func startOf(scn *scenarios.Scenario, flag string) (time.Time, error) {
	if flag != "" {
		t, err := time.Parse(time.RFC3339, flag)
		if err != nil {
			return t, fmt.Errorf("--start %q: want a date such as 2026-01-01T00:00:00Z", flag)
		}
		return t, nil
	}
	if !scn.Start.IsZero() {
		return scn.Start, nil
	}
	return time.Now().UTC().Truncate(time.Second), nil
}

func serveScenario(c *cobra.Command, file string, f serveFlags) error {
	speed, err := parseSpeed(f.speed)
	if err != nil {
		return status{exitInput, err}
	}
	scn, err := readScenario(file)
	if err != nil {
		return err
	}
	if scn.Start, err = startOf(scn, f.start); err != nil {
		return status{exitInput, err}
	}
	seed := scn.Seed
	if c.Flags().Changed("seed") {
		seed = f.seed
	}
	guard, err := f.guard.read(c)
	if err != nil {
		return status{exitInput, err}
	}
	listener, err := listen(f.listen, f.guard)
	if err != nil {
		return status{exitInput, err}
	}
	defer listener.Close()
	o, err := openCluster(scn, seed, guard, listener)
	if err != nil {
		return status{exitInput, err}
	}
	url := urlOf(listener.Addr(), guard != nil)
	if err := writeLogin(f.kubeconfig, scn.Name, url, o.keys); err != nil {
		return status{exitInput, err}
	}
	fmt.Printf("%s is served at %s (speed %s); use it by: kubectl --kubeconfig %s\n", scn.Name, url, f.speed, f.kubeconfig)
	if err := o.untilDone(c.Context(), listener, speed, f.record); err != nil {
		return status{exitWorld, err}
	}
	return nil
}

// listen opens the port. Without a guard it must be one that other machines do not
// reach, unless asked for.
func listen(at string, f guardFlags) (net.Listener, error) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", at, err)
	}
	if f.insecure && !isLoopback(l.Addr()) {
		if !f.remote {
			l.Close()
			return nil, fmt.Errorf("--listen %s: other machines reach it, and with --insecure they could do everything; leave --insecure out, or add --insecure-allow-remote", at)
		}
		fmt.Fprintln(os.Stderr, "seatrial: warning: whoever reaches", l.Addr(), "may do everything to this cluster")
	}
	return l, nil
}

// opened is a cluster with all that serves it.
type opened struct {
	cluster *serve.Cluster
	server  *http.Server
	guard   *guard             // nil: whoever comes is let in
	who     *identity.Identity // nil without a guard
	keys    *keys              // nil without a guard
}

// openCluster puts a cluster, its guard and the HTTP front together.
func openCluster(scn *scenarios.Scenario, seed uint64, g *guard, l net.Listener) (*opened, error) {
	o := &opened{guard: g}
	var front *apiserver.Server
	var err error
	o.cluster, err = serve.New(scn, seed, func(e store.Event) {
		if o.who != nil {
			o.who.Observe(e) // before clients hear of it
		}
		front.Observe(e)
	})
	if err != nil {
		return nil, err
	}
	cfg := apiserver.Config{
		Paths: map[string]http.Handler{serve.ClockPath: o.cluster.ClockHandler()},
		Report: func(p any, stack []byte) {
			fmt.Fprintf(os.Stderr, "seatrial: a request panicked: %v\n%s", p, stack)
		},
	}
	if g != nil {
		if o.keys, err = drawKeys(time.Now(), l.Addr()); err != nil {
			return nil, err
		}
		if o.who, err = g.identity(o.cluster, o.keys); err != nil {
			return nil, err
		}
		if err := o.who.Configure(&cfg); err != nil {
			return nil, err
		}
	}
	front = apiserver.New(o.cluster, cfg)
	o.server = front.HTTPServer()
	if g != nil {
		o.server.TLSConfig = o.keys.config()
	}
	return o, nil
}

// untilDone runs cluster and server until the context ends or one of them fails,
// then writes the recording.
func (o *opened) untilDone(ctx context.Context, l net.Listener, speed float64, record string) error {
	run, end := context.WithCancel(context.Background())
	defer end()
	failed := make(chan error, 2)
	go func() { failed <- o.cluster.Run(run) }()
	if o.who != nil {
		if err := o.who.Prepare(ctx); err != nil {
			return err
		}
	}
	go func() { failed <- o.accept(l) }()
	if err := o.cluster.SetSpeed(ctx, speed); err != nil {
		return err
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	if record != "" {
		if e := writeRecording(o.cluster, record); err == nil {
			err = e
		}
	}
	return errors.Join(err, o.close())
}

func (o *opened) accept(l net.Listener) error {
	if o.keys != nil {
		return o.server.ServeTLS(l, "", "")
	}
	return o.server.Serve(l)
}

// close lets requests that are being answered come to their end for a while.
func (o *opened) close() error {
	shut, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := o.server.Shutdown(shut)
	if errors.Is(err, context.DeadlineExceeded) {
		err = o.server.Close()
	}
	if o.guard != nil && o.guard.cfg.Audit != nil {
		err = errors.Join(err, o.guard.cfg.Audit.Close())
	}
	return err
}

func writeRecording(cluster *serve.Cluster, file string) error {
	text, err := cluster.Recording(context.Background(), filepath.Dir(file))
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("write the recording: %w", err)
	}
	fmt.Fprintf(os.Stderr, "the run is recorded in %s; repeat it with: seatrial run %s\n", file, file)
	return nil
}
