// Command seatrial runs Kubernetes-style clusters in a deterministic simulation:
// a scenario file in, a verdict out. One file per verb; the work is done in the
// packages.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit statuses, as README.md documents them.
const (
	exitHeld    = 0
	exitFailed  = 1 // a check failed
	exitInput   = 2 // the input is wrong; nothing was run
	exitWorld   = 3 // the world failed
	exitStopped = 130
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

// gcPercent lets the heap grow to five times what lives in it: a run is short, and
// most of what it allocates it keeps. GOGC overrides it.
const gcPercent = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "seatrial",
		Short:         "A Kubernetes-style orchestrator for a deterministic simulation and for real hosts",
		Long:          rootLong,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(runCommand(), testCommand(), whyCommand(), benchCommand(), serveCommand(), clockCommand(),
		labCommand(), gapCommand(), serverCommand(), agentCommand(), tokenCommand(), imageCommand(), doctorCommand(), kubectlCommand(), versionCommand())
	os.Exit(exitCode(root.ExecuteContext(ctx)))
}

// onlyVerbs makes a command that only has others refuse what is none of them, of which
// cobra would print the help and call it well.
func onlyVerbs(c *cobra.Command) *cobra.Command {
	c.DisableFlagsInUseLine = true
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		var verbs []string
		for _, sub := range c.Commands() {
			verbs = append(verbs, sub.Name())
		}
		return fmt.Errorf("%s has no verb %q; it has %s", c.CommandPath(), args[0], strings.Join(verbs, ", "))
	}
	c.Args = cobra.ArbitraryArgs
	return c
}

func exitCode(err error) int {
	var s status
	switch {
	case err == nil:
		return exitHeld
	case errors.As(err, &s):
		if s.cause != nil {
			fmt.Fprintln(os.Stderr, "seatrial:", s.cause)
		}
		return s.code
	}
	fmt.Fprintln(os.Stderr, "seatrial:", err)
	fmt.Fprintln(os.Stderr, "Run 'seatrial help' for the verbs and their flags.")
	return exitInput
}

const rootLong = `Seatrial runs Kubernetes' own kinds of controllers, scheduler and node agents in two
worlds. On a simulated cluster, in virtual time and from a seed: the same file and seed
give the same run to the last event. And on real hosts, with real containers: those of a
cluster, or of a lab on this machine.

  seatrial run scenarios/guestbook.yaml          one scenario, one verdict
  seatrial test scenarios --seeds 1-20           all of them, over many seeds
  seatrial why scenarios/guestbook.yaml node/worker-1   the chain of causes
  seatrial lab up --nodes 3                      a real cluster on this machine (root)
  seatrial gap scenarios/lab/guestbook.yaml      one scenario in both worlds

Exit status: 0 all checks held; 1 a check failed; 2 the input is wrong and nothing
was run; 3 the world failed.`
