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

It listens on the loopback interface and lets whoever reaches it do everything. With
--record the run is written, when it ends, as a scenario that repeats it exactly.`,
		Example: `  seatrial serve scenarios/guestbook.yaml --kubeconfig /tmp/kc --speed max
  kubectl --kubeconfig /tmp/kc get pods --watch`,
		Args: exactly(1, "a scenario file"),
		RunE: func(c *cobra.Command, args []string) error { return serveScenario(c, args[0], f) },
	}
	c.Flags().StringVar(&f.listen, "listen", "127.0.0.1:6443", "address to listen on, HOST:PORT; port 0 takes a free one")
	c.Flags().StringVar(&f.kubeconfig, "kubeconfig", "", "write a kubeconfig for this cluster to this file")
	c.Flags().StringVar(&f.speed, "speed", "1", "of the clock: paused, max, or virtual seconds to a second")
	c.Flags().Uint64Var(&f.seed, "seed", 0, "seed of the run, instead of the scenario's")
	c.Flags().StringVar(&f.start, "start", "", "calendar time at which the run starts (2026-01-01T00:00:00Z); by default the scenario's, or now")
	c.Flags().StringVar(&f.record, "record", "", "write the run to this file, as a scenario that repeats it")
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
	var front *apiserver.Server
	cluster, err := serve.New(scn, seed, func(e store.Event) { front.Observe(e) })
	if err != nil {
		return status{exitInput, err}
	}
	front = apiserver.New(cluster, apiserver.Config{Report: func(p any, stack []byte) {
		fmt.Fprintf(os.Stderr, "seatrial: a request panicked: %v\n%s", p, stack)
	}})
	listener, err := net.Listen("tcp", f.listen)
	if err != nil {
		return status{exitInput, fmt.Errorf("--listen %s: %w", f.listen, err)}
	}
	url := "http://" + listener.Addr().String()
	if f.kubeconfig != "" {
		if err := writeKubeconfig(f.kubeconfig, scn.Name, url); err != nil {
			listener.Close()
			return status{exitInput, err}
		}
	}
	mux := http.NewServeMux()
	mux.Handle(serve.ClockPath, cluster.ClockHandler())
	mux.Handle("/", front)
	server := front.HTTPServer()
	server.Handler = mux
	fmt.Printf("%s is served at %s (speed %s)\n", scn.Name, url, f.speed)
	if err := serveUntilDone(c.Context(), cluster, server, listener, speed, f.record); err != nil {
		return status{exitWorld, err}
	}
	return nil
}

// serveUntilDone runs cluster and server until the context ends or one of them
// fails, then writes the recording.
func serveUntilDone(ctx context.Context, cluster *serve.Cluster, server *http.Server, l net.Listener, speed float64, record string) error {
	run, end := context.WithCancel(context.Background())
	defer end()
	failed := make(chan error, 2)
	go func() { failed <- cluster.Run(run) }()
	go func() { failed <- server.Serve(l) }()
	if err := cluster.SetSpeed(ctx, speed); err != nil {
		return err
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	if record != "" {
		if e := writeRecording(cluster, record); err == nil {
			err = e
		}
	}
	shut, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if e := server.Shutdown(shut); e != nil && !errors.Is(e, context.DeadlineExceeded) && err == nil {
		err = e
	}
	server.Close()
	return err
}

func writeRecording(cluster *serve.Cluster, file string) error {
	text, err := cluster.Recording(context.Background(), filepath.Dir(file))
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, text, 0o666); err != nil {
		return fmt.Errorf("write the recording: %w", err)
	}
	fmt.Fprintf(os.Stderr, "the run is recorded in %s; repeat it with: seatrial run %s\n", file, file)
	return nil
}

// writeKubeconfig writes a kubeconfig without credentials.
func writeKubeconfig(file, name, url string) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster: {server: %[2]q}
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[1]s}
users:
- name: %[1]s
  user: {}
current-context: %[1]s
`, name, url)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("--kubeconfig: %w", err)
	}
	return nil
}
