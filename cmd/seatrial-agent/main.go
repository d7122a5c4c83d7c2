//go:build linux

// Command seatrial-agent runs on each host of a real cluster: it is what seatrial agent
// starts, and the first process of a lab's hosts. It is a program of its own because it
// stays in memory on every host, and the control plane's code would fill most of it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses, those of seatrial.
const (
	exitInput = 2 // the input is wrong; nothing was run
	exitWorld = 3 // the world failed
)

// status is an error that says with which exit status to end. A nil cause has been
// reported already.
type status struct {
	code  int
	cause error
}

func (s status) Error() string {
	if s.cause == nil {
		return ""
	}
	return s.cause.Error()
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := agentCommand()
	root.SilenceUsage, root.SilenceErrors = true, true
	root.AddCommand(labHostCommand())
	root.CompletionOptions.DisableDefaultCmd = true
	os.Exit(exitCode(root.ExecuteContext(ctx)))
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	code := exitInput
	var s status
	if errors.As(err, &s) {
		code = s.code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(os.Stderr, "seatrial:", text)
	}
	return code
}
