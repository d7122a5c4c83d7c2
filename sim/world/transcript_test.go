package world

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/internal/trace"
	"seatrial.dev/seatrial/scenarios"
)

// TestTranscripts runs scenarios and prints the lines of their traces that match;
// -rewrite writes the output. The command is
//
//	trace match=REGEXP
//
// with a scenario's spec as its input; the pattern is tried on "component: what
// object (detail)".
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var match string
			d.ScanArgs(t, "match", &match)
			head := "apiVersion: seatrial.dev/v1alpha1\nkind: Scenario\nmetadata: {name: transcript}\nspec:\n"
			scn, err := scenarios.Parse(path, []byte(head+"  "+strings.ReplaceAll(d.Input, "\n", "\n  ")))
			if err != nil {
				t.Fatal(err)
			}
			w, err := New(scn, scn.Seed)
			if err != nil {
				t.Fatal(err)
			}
			p := &printer{match: regexp.MustCompile(match)}
			w.Engine().Record(p)
			if err := w.Run(onlooker{t}); err != nil {
				t.Fatal(err)
			}
			return p.out.String()
		})
	})
}

// printer keeps the lines that match.
type printer struct {
	match *regexp.Regexp
	line  trace.Line
	out   strings.Builder
}

func (p *printer) Begin(l trace.Line) { p.line = l }

func (p *printer) Describe(what, object, detail string) {
	text := strings.TrimRight(fmt.Sprintf("%s: %s %s (%s)", p.line.Component, what, object, detail), " ()")
	if p.match.MatchString(text) {
		fmt.Fprintf(&p.out, "%14v  %s\n", p.line.Time, text)
	}
}

// onlooker judges nothing, but a step that cannot be carried out fails the test.
type onlooker struct{ t *testing.T }

func (onlooker) Observe(store.Event)         {}
func (onlooker) Settle(time.Duration)        {}
func (onlooker) Next() (time.Duration, bool) { return 0, false }
func (o onlooker) Failed(now time.Duration, s scenarios.Step, err error) {
	o.t.Errorf("%v: %s: %v", now, s.Action, err)
}
