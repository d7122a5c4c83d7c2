package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/sim/serve"
)

func clockCommand() *cobra.Command {
	var server string
	c := &cobra.Command{
		Use:   "clock",
		Short: "Show and control the clock of a served cluster",
		Long:  "Shows the clock of a cluster that seatrial serve opened, or pauses, runs and steps it.",
		Example: `  seatrial clock --server http://127.0.0.1:6443
  seatrial clock step 30s
  seatrial clock until 'pods.all(p, p.status.phase == "Running")'
  seatrial clock speed 60`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return clockDo(c.Context(), server, nil) },
	}
	c.PersistentFlags().StringVar(&server, "server", "http://127.0.0.1:6443", "where the cluster is served")
	add := func(use, short string, args cobra.PositionalArgs, make func([]string) (serve.Command, error)) {
		c.AddCommand(&cobra.Command{Use: use, Short: short, Args: args, RunE: func(c *cobra.Command, args []string) error {
			cmd, err := make(args)
			if err != nil {
				return status{exitInput, err}
			}
			return clockDo(c.Context(), server, &cmd)
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

// clockDo sends a command, or none, and prints the clock.
func clockDo(ctx context.Context, server string, cmd *serve.Command) error {
	method, body := http.MethodGet, []byte(nil)
	if cmd != nil {
		method = http.MethodPost
		var err error
		if body, err = json.Marshal(cmd); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(server, "/")+serve.ClockPath, bytes.NewReader(body))
	if err != nil {
		return status{exitInput, fmt.Errorf("--server %q: %w", server, err)}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return status{exitWorld, fmt.Errorf("ask the clock: %w; is seatrial serve running there?", err)}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return status{exitWorld, fmt.Errorf("read the clock: %w", err)}
	}
	if resp.StatusCode != http.StatusOK {
		return status{exitInput, fmt.Errorf("%s", strings.TrimSpace(string(answer)))}
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
