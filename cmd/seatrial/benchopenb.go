package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/bench/playback"
)

type openbFlags struct {
	nodes, pods, json string
	policies          []string
	seed              uint64
	crowded           bool
}

func benchOpenBCommand() *cobra.Command {
	var f openbFlags
	c := &cobra.Command{
		Use:   "openb --nodes FILE --pods FILE",
		Short: "Measure the scheduler with a trace in the OpenB format",
		Long: `Plays a trace of nodes and pods in the OpenB format in virtual time, against the API, the
store and the scheduler of this process, with all filters and scores on all nodes and the
explanation of every decision kept; prints what each policy's run cost.

Explanations are kept in brief: by the log of what each node was to pods that ask for the
same, from which the table of nodes and plugins is made when someone reads it.`,
		Example: `  seatrial bench openb --nodes openb_node_list_all_node.csv --pods openb_pod_list_default.csv
  seatrial bench openb --nodes nodes.csv --pods pods.csv --crowded --policy Default,GPUPacking,FragmentationAware`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return benchOpenB(c.Context(), &f) },
	}
	c.Flags().StringVar(&f.nodes, "nodes", "", "the file of nodes (required)")
	c.Flags().StringVar(&f.pods, "pods", "", "the file of pods (required)")
	c.Flags().StringSliceVar(&f.policies, "policy", []string{playback.DefaultPolicy}, "the policies, one after the other; FILE.yaml is a scheduler's configuration")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "the seed of the run")
	c.Flags().BoolVar(&f.crowded, "crowded", false, "pods come in an order drawn from the seed and never leave, so that the nodes fill up")
	c.Flags().StringVar(&f.json, "json", "", "write the results as a JSON array to this file")
	_, _ = c.MarkFlagRequired("nodes"), c.MarkFlagRequired("pods") // the flags are there: they are defined above
	return c
}

func benchOpenB(ctx context.Context, f *openbFlags) error {
	w, err := playback.OpenB(f.nodes, f.pods)
	if err != nil {
		return status{exitInput, err}
	}
	if f.crowded {
		w = w.Crowded(f.seed)
	}
	policies, err := contenders(f.policies, w, f.seed)
	if err != nil {
		return status{exitInput, err}
	}
	results, err := playback.Measure(ctx, os.Stdout, w, policies, f.seed)
	switch {
	case ctx.Err() != nil:
		return status{exitStopped, nil}
	case err != nil:
		return status{exitWorld, err}
	case f.json == "":
		return nil
	}
	if err := playback.WriteJSON(f.json, results); err != nil {
		return status{exitWorld, err}
	}
	return nil
}
