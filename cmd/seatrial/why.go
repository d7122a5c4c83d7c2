package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/why"
	"seatrial.dev/seatrial/sched"
	"seatrial.dev/seatrial/sim"
	"seatrial.dev/seatrial/sim/play"
)

type whyFlags struct {
	seed uint64
	at   time.Duration
	json bool

	scheduling bool
	rows       int
}

func whyCommand() *cobra.Command {
	var f whyFlags
	c := &cobra.Command{
		Use:   "why SCENARIO KIND/NAMESPACE/NAME",
		Short: "Tell the chain of causes of an object's state",
		Long: `Repeats the run with recording on and tells why an object is as it is at the end, or
at the time given: what began it, what followed from that, and every change of the
object itself. An object of a kind without namespaces is named KIND/NAME.

With --scheduling it tells of a pod how the scheduler looked at it: every attempt to
find a node, and of the last the table of nodes and plugins: which filter refused a
node and why, what each score gave, and whose going would make room. Of a pod that
has no node yet it is the table as things stand at the time.`,
		Example: `  seatrial why scenarios/guestbook.yaml node/worker-1 --at 3m
  seatrial why scenarios/guestbook.yaml rc/default/frontend
  seatrial why scenarios/volumes.yaml pod/default/db-0 --scheduling`,
		Args: exactly(2, "a scenario file and an object"),
		RunE: func(c *cobra.Command, args []string) error { return explain(c, args[0], args[1], f) },
	}
	c.Flags().Uint64Var(&f.seed, "seed", 0, "seed of the run, instead of the scenario's")
	c.Flags().DurationVar(&f.at, "at", 0, "the virtual time to look at; the end of the run by default")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	c.Flags().BoolVar(&f.scheduling, "scheduling", false, "tell how the scheduler looked at a pod")
	c.Flags().IntVar(&f.rows, "rows", 20, "with --scheduling: print at most so many nodes that could take the pod, and that could not")
	return c
}

func explain(c *cobra.Command, file, object string, f whyFlags) error {
	ref, err := scenarios.ParseRef(object)
	if err != nil {
		return status{exitInput, err}
	}
	scn, err := readScenario(file)
	if err != nil {
		return err
	}
	opts := play.Options{Seed: scn.Seed, Until: f.at}
	if c.Flags().Changed("seed") {
		opts.Seed = f.seed
	}
	opts.Stop = func() bool { return c.Context().Err() != nil }
	if f.scheduling {
		return explainScheduling(scn, ref, opts, f)
	}
	h := why.NewHistory()
	opts.Recorder, opts.Watch = h, h.Watch
	if v, _ := play.Run(scn, opts); v.Err != nil {
		return status{exitWorld, v.Err}
	}
	if err := h.Err(); err != nil {
		return status{exitInput, err}
	}
	x, err := h.Explain(ref)
	if err != nil {
		return status{exitInput, err}
	}
	if f.json {
		return printJSON(x)
	}
	x.Write(os.Stdout)
	return nil
}

func explainScheduling(scn *scenarios.Scenario, pod kinds.Ref, opts play.Options, f whyFlags) error {
	switch {
	case pod.Kind != kinds.Pod:
		return status{exitInput, fmt.Errorf("--scheduling tells of pods, and %s is none: name one as pod/NAMESPACE/NAME", pod)}
	case f.rows < 0:
		return status{exitInput, fmt.Errorf("--rows is %d: it must be 0 or more", f.rows)}
	}
	x, seen := why.NewScheduling(pod), false
	opts.Watch = func(_ sim.Time, _ uint64, e store.Event) { seen = seen || e.Ref == pod }
	opts.Decided = func(now sim.Time, of kinds.Ref, explain func() *sched.Explanation) {
		if of == pod {
			x.Note(now, explain())
		}
	}
	opts.Waiting, opts.WaitingLook = pod.Key, x.Wait
	if v, _ := play.Run(scn, opts); v.Err != nil {
		return status{exitWorld, v.Err}
	}
	switch {
	case !seen:
		return status{exitInput, fmt.Errorf("there is no %s in this run", pod)}
	case f.json:
		return printJSON(x)
	}
	x.Write(os.Stdout, f.rows)
	return nil
}

func printJSON(x any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(x)
}
