package main

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// gap is something that Seatrial does not have.
type gap struct {
	Match string `json:"match"` // a regular expression over tests' names
	Why   string `json:"why"`
	re    *regexp.Regexp
}

func readMissing(file string) (list []gap, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := yaml.UnmarshalStrict(raw, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for i := range list {
		if list[i].re, err = regexp.Compile(list[i].Match); err != nil || list[i].Why == "" {
			return nil, fmt.Errorf("%s: entry %d: want a regular expression match and a why: %w", file, i, err)
		}
	}
	return list, nil
}

// result is one test of the conformance list.
type result struct {
	name   string
	status string // passed, failed, timedout, ...; skipped if it was not run
}

func (r *result) group() string {
	if group := regexp.MustCompile(`^\[(sig-[a-z-]+)\]`).FindStringSubmatch(r.name); group != nil {
		return group[1]
	}
	return "other"
}

// readReport reads the tests of the conformance list from ginkgo's JUnit report.
func readReport(file string) (list []result, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var report struct {
		Suites []struct {
			Cases []struct {
				Name   string `xml:"name,attr"`
				Status string `xml:"status,attr"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(raw, &report); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	labels := regexp.MustCompile(` \[[^\[\]]*, [^\[\]]*\]$`) // ginkgo's, which the name has already
	for _, s := range report.Suites {
		for _, c := range s.Cases {
			if name, is := strings.CutPrefix(c.Name, "[It] "); is && strings.Contains(name, "[Conformance]") {
				list = append(list, result{labels.ReplaceAllString(name, ""), c.Status})
			}
		}
	}
	slices.SortFunc(list, func(a, b result) int { return cmp.Compare(a.name, b.name) })
	return list, nil
}

// conclude says how it went, and fails if what should hold does not.
func conclude(s *settings, missing []gap, list []result) error {
	text, failed := summary(missing, list)
	fmt.Print(text)
	if s.write {
		if err := os.WriteFile("RESULT.md", []byte(text), 0o644); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d tests failed; the log is %s/log", failed, s.work)
	}
	return nil
}

func summary(missing []gap, list []result) (text string, failed int) {
	type tally struct{ passed, failed, left int }
	groups, whys := map[string]*tally{}, map[string]int{}
	var bad []string
	total := tally{}
	for _, r := range list {
		g := groups[r.group()]
		if g == nil {
			g = &tally{}
			groups[r.group()] = g
		}
		switch r.status {
		case "passed":
			g.passed++
			total.passed++
		case "skipped":
			g.left++
			total.left++
			whys[reason(missing, r.name)]++
		default:
			g.failed++
			total.failed++
			bad = append(bad, r.name)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Kubernetes' conformance tests in the lab\n\nWritten by `go run . --write` in bench/conformance; tests of k8s.io/kubernetes 1.37.1.\n\n")
	fmt.Fprintf(&b, "| group | passed | failed | not run |\n|---|---|---|---|\n")
	for _, name := range sorted(groups) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", name, groups[name].passed, groups[name].failed, groups[name].left)
	}
	fmt.Fprintf(&b, "| all | %d | %d | %d |\n\n", total.passed, total.failed, total.left)
	if len(bad) > 0 {
		fmt.Fprintf(&b, "Failed:\n\n- %s\n\n", strings.Join(bad, "\n- "))
	}
	fmt.Fprintf(&b, "Not run:\n\n| tests | why |\n|---|---|\n")
	for _, why := range sorted(whys) {
		fmt.Fprintf(&b, "| %d | %s |\n", whys[why], why)
	}
	return b.String(), total.failed
}

func reason(missing []gap, name string) string {
	for _, g := range missing {
		if g.re.MatchString(name) {
			return g.Why
		}
	}
	return "not asked for in this run"
}

func sorted[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
