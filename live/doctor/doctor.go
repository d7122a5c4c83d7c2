package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Level is how much a feature matters.
type Level string

const (
	Required Level = "required" // without it nothing real runs
	Lab      Level = "lab"      // without it only `seatrial lab` does not
	Optional Level = "optional" // without it something is worse
)

// Row is one feature.
type Row struct {
	Feature string `json:"feature"`
	OK      bool   `json:"ok"`
	Level   Level  `json:"level"`
	Found   string `json:"found"`
	For     string `json:"neededFor"`
	Do      string `json:"whatToDo,omitempty"` // if it is not OK
}

// Report is the table, in a fixed order.
type Report struct {
	Rows []Row `json:"rows"`
	Runs bool  `json:"runs"` // whether server and agent can
	Lab  bool  `json:"lab"`  // whether a lab can
}

// tryMax is for all trials together: a program that hangs must not hang the report.
const tryMax = 30 * time.Second

// Check looks at the machine. binDir is the folder of this program, beside which others
// are looked for.
func Check(ctx context.Context, binDir string) Report {
	ctx, cancel := context.WithTimeout(ctx, tryMax)
	defer cancel()
	var rows []Row
	for _, group := range []func() []Row{
		kernelRows, cgroupRows, namespaceRows, securityRows, limitRows,
		func() []Row { return networkRows(ctx) },
		func() []Row { return toolRows(binDir) },
	} {
		rows = append(rows, group()...)
	}
	return conclude(rows)
}

func conclude(rows []Row) Report {
	r := Report{Rows: rows, Runs: true, Lab: true}
	for _, row := range rows {
		if !row.OK {
			r.Runs = r.Runs && row.Level != Required
			r.Lab = r.Lab && row.Level == Optional
		}
	}
	return r
}

// Missing are the rows that are not in order, the gravest first.
func (r Report) Missing() []Row {
	out := slices.DeleteFunc(slices.Clone(r.Rows), func(row Row) bool { return row.OK })
	grave := func(row Row) int { return slices.Index([]Level{Required, Lab, Optional}, row.Level) }
	slices.SortStableFunc(out, func(a, b Row) int { return cmp.Compare(grave(a), grave(b)) })
	return out
}

// tried makes a row of a trial.
func tried(feature string, level Level, need, do string, err error) Row {
	r := Row{Feature: feature, Level: level, For: need, OK: err == nil, Found: "works"}
	if err != nil {
		r.Found, r.Do = oneLine(err), do
	}
	return r
}

const foundMax = 80 // characters of an error in the table

func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > foundMax {
		text = text[:foundMax] + "..."
	}
	return fmt.Sprintf("no: %s", text)
}
