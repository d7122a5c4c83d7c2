package main

import (
	"encoding/json"
	"os"
	"time"

	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/why"
	"seatrial.dev/seatrial/sim/play"
)

type whyFlags struct {
	seed uint64
	at   time.Duration
	json bool
}

func whyCommand() *cobra.Command {
	var f whyFlags
	c := &cobra.Command{
		Use:   "why SCENARIO KIND/NAMESPACE/NAME",
		Short: "Tell the chain of causes of an object's state",
		Long: `Repeats the run with recording on and tells why an object is as it is at the end, or
at the time given: what began it, what followed from that, and every change of the
object itself. An object of a kind without namespaces is named KIND/NAME.`,
		Example: `  seatrial why scenarios/guestbook.yaml node/worker-1 --at 3m
  seatrial why scenarios/guestbook.yaml rc/default/frontend`,
		Args: exactly(2, "a scenario file and an object"),
		RunE: func(c *cobra.Command, args []string) error { return explain(c, args[0], args[1], f) },
	}
	c.Flags().Uint64Var(&f.seed, "seed", 0, "seed of the run, instead of the scenario's")
	c.Flags().DurationVar(&f.at, "at", 0, "the virtual time to look at; the end of the run by default")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
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
	h := why.NewHistory()
	opts.Recorder, opts.Watch = h, h.Watch
	opts.Stop = func() bool { return c.Context().Err() != nil }
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
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(x)
	}
	x.Write(os.Stdout)
	return nil
}
