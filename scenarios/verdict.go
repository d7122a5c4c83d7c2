package scenarios

import (
	"fmt"
	"io"
	"time"
)

// Verdict is how a run ended.
type Verdict struct {
	Scenario *Scenario
	Seed     uint64
	Time     time.Duration // virtual time reached
	Events   uint64        // handled
	Hash     uint64        // running hash over all of them; 0 in a world without one
	Wall     time.Duration
	Checks   []Result
	Steps    []FailedStep
	Err      error // the world failed: no verdict on the checks
}

// Result is the outcome of one check.
type Result struct {
	Check
	Held bool
	At   time.Duration // when it was decided: first held, first failed, or the end
	Saw  string        // for a check that failed, the values its expression saw
}

// FailedStep is a step of the time line that could not be carried out.
type FailedStep struct {
	Step
	At  time.Duration
	Err error
}

// Passed says whether everything held.
func (v *Verdict) Passed() bool {
	if v.Err != nil || len(v.Steps) > 0 {
		return false
	}
	for _, r := range v.Checks {
		if !r.Held {
			return false
		}
	}
	return true
}

// String is the verdict line: the last line that a run prints.
func (v *Verdict) String() string {
	word := "PASS"
	if !v.Passed() {
		word = "FAIL"
	}
	s := fmt.Sprintf("%s %s seed=%d time=%s events=%d", word, v.Scenario.Name, v.Seed, FormatTime(v.Time), v.Events)
	if v.Hash != 0 {
		s += fmt.Sprintf(" hash=%016x", v.Hash)
	}
	return s + " wall=" + FormatWall(v.Wall)
}

// FormatTime writes a virtual time the way people do: "10m0s", and no more digits
// than it has.
func FormatTime(d time.Duration) string { return d.String() }

// FormatWall writes a wall time with three digits at most: "41ms", "1.25s".
func FormatWall(d time.Duration) string {
	switch {
	case d >= 100*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// Shortened returns a copy of the scenario that ends at the given time. Checks
// whose time has not wholly come by then are left out, for they could not be
// judged; what must always hold is judged until then.
func (s *Scenario) Shortened(until time.Duration) *Scenario {
	c := *s
	c.Duration, c.Checks = until, nil
	for _, k := range s.Checks {
		if k.Mode == Always && k.From <= until {
			k.To = min(k.To, until)
		}
		if k.Mode != AtEnd && k.To <= until {
			c.Checks = append(c.Checks, k)
		}
	}
	return &c
}

// WriteFailures says what did not hold, with the command that repeats the run.
func (v *Verdict) WriteFailures(w io.Writer, replay string) {
	if v.Passed() {
		return
	}
	for _, s := range v.Steps {
		fmt.Fprintf(w, "%12s  step %q (%s:%d) could not be carried out: %v\n", FormatTime(s.At), s.Action, v.Scenario.File, s.Line, s.Err)
	}
	for _, r := range v.Checks {
		if !r.Held && v.Err == nil { // a run that broke off has not decided them
			fmt.Fprintf(w, "%12s  check %q failed (%s:%d)\n%14s%s: %s\n", FormatTime(r.At), r.Name, v.Scenario.File, r.Line, "", r.Mode, r.Expr)
			if r.Saw != "" {
				fmt.Fprintf(w, "%14ssaw: %s\n", "", r.Saw)
			}
		}
	}
	if v.Err != nil {
		fmt.Fprintf(w, "%12s  the world failed: %v\n", FormatTime(v.Time), v.Err)
	}
	fmt.Fprintf(w, "%14sreplay: %s\n", "", replay)
}
