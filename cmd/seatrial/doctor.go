//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/live/doctor"
)

func doctorCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "doctor",
		Short: "What of the real world this machine can do, and what to do about the rest",
		Long: `Looks at the kernel and the programs of this machine and tries what no file tells, in
namespaces that are gone afterwards. Run it as root, as the server and the agent are.

Exit status: 0 the real world can run here; 3 it cannot. What only a lab needs, or
what is merely better, does not count.`,
		Example: "  sudo seatrial doctor\n  sudo seatrial doctor --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return status{exitWorld, err}
			}
			r := doctor.Check(c.Context(), filepath.Dir(self))
			if asJSON {
				e := json.NewEncoder(os.Stdout)
				e.SetIndent("", "  ")
				err = e.Encode(r)
			} else {
				err = printReport(r)
			}
			if err != nil {
				return status{exitWorld, err}
			}
			if !r.Runs {
				return status{exitWorld, nil}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the table as JSON")
	return c
}

func printReport(r doctor.Report) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "FEATURE\tOK\tFOUND\tNEEDED FOR")
	for _, row := range r.Rows {
		ok := "yes"
		if !row.OK {
			ok = "NO"
			if row.Level != doctor.Required {
				ok += " (" + string(row.Level) + ")"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", row.Feature, ok, row.Found, row.For)
	}
	err := w.Flush()
	var do []string
	for _, row := range r.Missing() {
		do = append(do, fmt.Sprintf("  %s (%s): %s", row.Feature, row.Level, row.Do))
	}
	if do != nil {
		fmt.Printf("\nWhat to do:\n%s\n", strings.Join(do, "\n"))
	}
	if os.Geteuid() != 0 {
		fmt.Println("\nThis was not run as root, so that much could not be tried: run it with sudo before doing any of this.")
	}
	switch {
	case r.Lab:
		fmt.Println("\nServer, agent and lab can run here.")
	case r.Runs:
		fmt.Println("\nServer and agent can run here; a lab cannot.")
	default:
		fmt.Println("\nThe real world cannot run here yet.")
	}
	return err
}
