package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"seatrial.dev/seatrial/sim/serve"
)

func clockCommand() *cobra.Command {
	var at whereClock
	c := &cobra.Command{
		Use:   "clock",
		Short: "Show and control the clock of a served cluster",
		Long: `Shows the clock of a cluster that seatrial serve opened, or pauses, runs and steps it.

The cluster is found by a kubeconfig, in the present folder unless --kubeconfig names
one; --server finds one that is served with --insecure.`,
		Example: `  seatrial clock
  seatrial clock --kubeconfig /tmp/kc step 30s
  seatrial clock until 'pods.all(p, p.status.phase == "Running")'
  seatrial clock speed 60`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return clockDo(c.Context(), at, nil) },
	}
	c.PersistentFlags().StringVar(&at.kubeconfig, "kubeconfig", "", "kubeconfig that seatrial serve wrote (default "+loginFile+", if it is there)")
	c.PersistentFlags().StringVar(&at.server, "server", "", "where the cluster is served with --insecure (default "+insecureServer+")")
	c.MarkFlagsMutuallyExclusive("kubeconfig", "server")
	add := func(use, short string, args cobra.PositionalArgs, make func([]string) (serve.Command, error)) {
		c.AddCommand(&cobra.Command{Use: use, Short: short, Args: args, RunE: func(c *cobra.Command, args []string) error {
			cmd, err := make(args)
			if err != nil {
				return status{exitInput, err}
			}
			return clockDo(c.Context(), at, &cmd)
		}})
	}
	add("pause", "Let the clock stand still", cobra.NoArgs, func([]string) (serve.Command, error) { return serve.Command{Do: "pause"}, nil })
	add("run", "Let the clock run with the wall's", cobra.NoArgs, func([]string) (serve.Command, error) { return serve.Command{Do: "run"}, nil })
	add("step DURATION", "Let so much virtual time pass, at once, and pause", cobra.ExactArgs(1), func(a []string) (serve.Command, error) {
		_, err := time.ParseDuration(a[0])
		return serve.Command{Do: "step", Duration: a[0]}, err
	})
	add("until EXPRESSION", "Let time pass until a check's expression holds, and pause", cobra.ExactArgs(1), func(a []string) (serve.Command, error) {
		return serve.Command{Do: "until", Until: a[0]}, nil
	})
	add("speed paused|max|N", "Let the clock run at N virtual seconds to a second", cobra.ExactArgs(1), func(a []string) (serve.Command, error) {
		n, err := parseSpeed(a[0])
		return serve.Command{Do: "speed", Speed: &n}, err
	})
	return c
}

// insecureServer is where serve --insecure listens.
const insecureServer = "http://127.0.0.1:6443"

// whereClock is how the cluster is found.
type whereClock struct{ kubeconfig, server string }

// client returns the server's address and a client that it lets in.
func (w whereClock) client() (server string, client *http.Client, err error) {
	file := w.kubeconfig
	if file == "" && w.server == "" {
		if _, err := os.Stat(loginFile); err == nil {
			file = loginFile
		}
	}
	if file == "" {
		return cmp.Or(w.server, insecureServer), http.DefaultClient, nil
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		return "", nil, fmt.Errorf("--kubeconfig %s: %w", file, err)
	}
	cfg.Timeout = 0 // a step takes as long as it takes
	if client, err = rest.HTTPClientFor(cfg); err != nil {
		return "", nil, fmt.Errorf("--kubeconfig %s: %w", file, err)
	}
	return cfg.Host, client, nil
}

// refusal is what the server says against a command: a text, or a Status.
func refusal(answer []byte) error {
	var s struct{ Message string }
	if json.Unmarshal(answer, &s) == nil && s.Message != "" {
		return errors.New(s.Message)
	}
	return errors.New(strings.TrimSpace(string(answer)))
}

// clockDo sends a command, or none, and prints the clock.
func clockDo(ctx context.Context, at whereClock, cmd *serve.Command) error {
	server, client, err := at.client()
	if err != nil {
		return status{exitInput, err}
	}
	method, body := http.MethodGet, []byte(nil)
	if cmd != nil {
		method = http.MethodPost
		if body, err = json.Marshal(cmd); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(server, "/")+serve.ClockPath, bytes.NewReader(body))
	if err != nil {
		return status{exitInput, fmt.Errorf("--server %q: %w", server, err)}
	}
	resp, err := client.Do(req)
	if err != nil {
		return status{exitWorld, fmt.Errorf("ask the clock: %w; is seatrial serve running there?", err)}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return status{exitWorld, fmt.Errorf("read the clock: %w", err)}
	}
	if resp.StatusCode != http.StatusOK {
		return status{exitInput, refusal(answer)}
	}
	var s serve.State
	if err := json.Unmarshal(answer, &s); err != nil {
		return status{exitWorld, fmt.Errorf("read the clock: %w", err)}
	}
	speed := fmt.Sprintf("running at %g virtual seconds to a second", s.Speed)
	switch s.Speed {
	case serve.Paused:
		speed = "paused"
	case serve.Max:
		speed = "running as fast as it can"
	}
	fmt.Printf("%s  %s  %s  events=%d hash=%s\n", s.Since, s.Now, speed, s.Events, s.Hash)
	if s.Failed != "" {
		fmt.Println("failed:", s.Failed)
	}
	return nil
}
