package report

import (
	"encoding/xml"
	"fmt"
	"os"
	"strings"

	"seatrial.dev/seatrial/scenarios"
)

// The JUnit XML that CI systems read: a suite for each run, a case for each check.

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Tests   int          `xml:"tests,attr"`
	Fails   int          `xml:"failures,attr"`
	Errors  int          `xml:"errors,attr"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Fails      int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Time       string          `xml:"time,attr"` // wall time in seconds
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"` // virtual time in seconds at which it was decided
	Failure *junitProblem `xml:"failure,omitempty"`
	Error   *junitProblem `xml:"error,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnitFile writes the outcome of runs as JUnit XML.
func WriteJUnitFile(path string, all []scenarios.Verdict) error {
	out := junitSuites{}
	for i := range all {
		s := suite(&all[i])
		out.Tests, out.Fails, out.Errors = out.Tests+s.Tests, out.Fails+s.Fails, out.Errors+s.Errors
		out.Suites = append(out.Suites, s)
	}
	b, err := xml.MarshalIndent(out, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append([]byte(xml.Header), append(b, '\n')...), 0o666)
	}
	if err != nil {
		return fmt.Errorf("write JUnit XML: %w", err)
	}
	return nil
}

func suite(v *scenarios.Verdict) junitSuite {
	s := junitSuite{Name: v.Scenario.Name, Time: fmt.Sprintf("%.3f", v.Wall.Seconds()), Properties: []junitProperty{
		{"seed", fmt.Sprint(v.Seed)}, {"events", fmt.Sprint(v.Events)}}}
	if v.Hash != 0 { // real hosts have none
		s.Properties = append(s.Properties, junitProperty{"hash", fmt.Sprintf("%016x", v.Hash)})
	}
	for _, r := range v.Checks {
		c := junitCase{Name: r.Name, Class: v.Scenario.Name, Time: fmt.Sprintf("%.3f", r.At.Seconds())}
		if !r.Held {
			c.Failure = &junitProblem{fmt.Sprintf("%s: %s", r.Mode, r.Expr), "at " + scenarios.FormatTime(r.At) + " saw " + r.Saw}
			s.Fails++
		}
		s.Cases = append(s.Cases, c)
	}
	c := junitCase{Name: "the run", Class: v.Scenario.Name, Time: fmt.Sprintf("%.3f", v.Time.Seconds())}
	switch {
	case v.Err != nil:
		c.Error = &junitProblem{"the world failed", v.Err.Error()}
		s.Errors++
	case len(v.Steps) > 0:
		var b strings.Builder
		for _, f := range v.Steps {
			fmt.Fprintf(&b, "%s at %s: %v\n", f.Action, scenarios.FormatTime(f.At), f.Err)
		}
		c.Failure = &junitProblem{"a step could not be carried out", b.String()}
		s.Fails++
	}
	s.Cases = append(s.Cases, c)
	s.Tests = len(s.Cases)
	return s
}
