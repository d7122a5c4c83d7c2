package check

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/scenarios"
)

// TestGolden plays transcripts: scenario files whose checks are compiled, and
// changes of objects at times that a judge sees.
//
//	new       one check a line: mode [from=] [to=] expression
//	scenario  a whole scenario file, only compiled
//	plan      what is evaluated in place of each expression, and what it counts
//	at T      objects as YAML, or lines "delete kind/ns/name"; what is decided then
//	end       the boundaries that are left
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		p := &player{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return p.do(t, d) })
	})
}

type player struct {
	scn   *scenarios.Scenario
	judge *Judge
	store *store.Store
	shown map[string]bool
}

func (p *player) do(t *testing.T, d *datadriven.TestData) string {
	if p.judge == nil && d.Cmd != "new" && d.Cmd != "scenario" {
		return "there is no judge\n"
	}
	switch d.Cmd {
	case "new":
		return p.start(t, d)
	case "scenario":
		scn, err := scenarios.Parse("s.yaml", []byte(d.Input))
		if err == nil {
			_, err = New(scn)
		}
		if err != nil {
			return err.Error() + "\n"
		}
		return "ok\n"
	case "plan":
		return p.plan()
	case "at":
		at, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		p.until(at)
		p.change(t, d.Input)
		p.judge.Settle(at)
		return p.news()
	case "end":
		p.until(p.scn.Duration + 1)
		return p.news() + p.undecided()
	}
	t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
	return ""
}

func (p *player) start(t *testing.T, d *datadriven.TestData) string {
	*p = player{scn: &scenarios.Scenario{File: "s.yaml", Duration: 10 * time.Minute}, store: store.New(64), shown: map[string]bool{}}
	for i, text := range splitChecks(d.Input) {
		c := scenarios.Check{Name: fmt.Sprintf("check %d", i+1), To: p.scn.Duration, Line: 10 * (i + 1)}
		mode, rest, _ := strings.Cut(text, " ")
		for m := scenarios.Eventually; m <= scenarios.AtEnd; m++ {
			if m.String() == mode {
				c.Mode = m
			}
		}
		for {
			word, after, _ := strings.Cut(rest, " ")
			name, value, ok := strings.Cut(word, "=")
			at, err := time.ParseDuration(value)
			if !ok || err != nil || name != "from" && name != "to" {
				break
			}
			if rest = after; name == "from" {
				c.From = at
			} else {
				c.To = at
			}
		}
		c.Expr = strings.ReplaceAll(rest, "\\n", "\n")
		p.scn.Checks = append(p.scn.Checks, c)
	}
	j, err := New(p.scn)
	if err != nil {
		return err.Error() + "\n"
	}
	p.judge = j
	j.Watch(p.store)
	return "ok\n"
}

// plan shows what is evaluated.
func (p *player) plan() string {
	var b strings.Builder
	for _, c := range p.judge.checks {
		fmt.Fprintf(&b, "%s: %s\n", c.Name, strings.ReplaceAll(c.fast.text, aggregatePrefix, "#"))
		for _, t := range c.fast.tallies {
			fmt.Fprintf(&b, "  #%d: %s\n", t.number, strings.ReplaceAll(t.key, "\x00", " | "))
		}
	}
	return b.String()
}

func splitChecks(input string) []string { return strings.Split(strings.TrimSpace(input), "\n") }

// until settles at the boundaries before a time.
func (p *player) until(at time.Duration) {
	for {
		next, ok := p.judge.Next()
		if !ok || next >= at {
			return
		}
		p.judge.Settle(next)
	}
}

func (p *player) change(t *testing.T, input string) {
	var yaml []string
	for _, line := range strings.Split(input, "\n") {
		if name, ok := strings.CutPrefix(line, "delete "); ok {
			ref, err := scenarios.ParseRef(name)
			if err != nil {
				t.Fatal(err)
			}
			e, err := p.store.Delete(ref, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			p.judge.Observe(e)
			continue
		}
		yaml = append(yaml, line)
	}
	docs, err := kinds.Decode("", []byte(strings.Join(yaml, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range docs {
		var e store.Event
		var err error
		if p.store.Get(d.Ref) == nil {
			e, err = p.store.Create(d.Object)
		} else {
			e, err = p.store.Update(d.Object, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		p.judge.Observe(e)
	}
}

// news tells of the checks that have been decided since it was last asked.
func (p *player) news() string {
	var b strings.Builder
	for i, c := range p.judge.checks {
		if !c.decided || p.shown[c.Name] {
			continue
		}
		p.shown[c.Name] = true
		r := p.judge.Results()[i]
		word := "held"
		if !r.Held {
			word = "FAILED"
		}
		fmt.Fprintf(&b, "%s %s at %v\n", r.Name, word, r.At)
		if r.Saw != "" {
			fmt.Fprintf(&b, "  saw: %s\n", r.Saw)
		}
	}
	return b.String()
}

func (p *player) undecided() string {
	var b strings.Builder
	for i, c := range p.judge.checks {
		if !c.decided {
			fmt.Fprintf(&b, "%s undecided: %+v\n", c.Name, p.judge.Results()[i])
		}
	}
	return b.String()
}
