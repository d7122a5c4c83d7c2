package fidelity

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/bench/upstream/reference"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
)

// linesPerReport is how many differences of one case are told.
const linesPerReport = 12

func parseKey(s string) kinds.Key {
	namespace, name, ok := strings.Cut(s, "/")
	if !ok {
		return kinds.Key{Name: s}
	}
	return kinds.Key{Namespace: namespace, Name: name}
}

// report tells of a decision that differs, unless enough like it were told of.
func (l *life) report(c *Case, r, again *Result) error {
	l.sum.Differ++
	fresh := false
	seen := map[string]bool{}
	for _, d := range r.Differences {
		if s := d.sort(); !seen[s] {
			seen[s] = true
			l.sum.Differences[s]++
			if l.shown[s]++; l.shown[s] <= reportsPerSort {
				fresh = true
			}
		}
	}
	enough := l.FirstDifference || l.DifferencesMax > 0 && l.sum.Differ >= l.DifferencesMax
	if fresh || enough {
		if err := l.tell(c, r, again); err != nil {
			return err
		}
	}
	if enough {
		return errEnough
	}
	return nil
}

func (l *life) tell(c *Case, r, again *Result) error {
	fmt.Fprintf(l.Out, "seed %d, decision %d, pod %s: %d differences\n", l.seed, l.count, c.Pod, len(r.Differences))
	sort := r.Differences[0].sort()
	if again.has(sort) {
		small, res, err := c.shrink(sort)
		if err != nil {
			return err
		}
		c, r = small, res
		fmt.Fprintf(l.Out, "  made smaller, to %d objects:\n", len(c.Objects))
	} else {
		fmt.Fprintf(l.Out, "  not there when the same objects are seen for the first time: a fault of what is kept between decisions\n")
		l.ownMind("upstream", again.Theirs, &r.Theirs.Explanation)
		l.ownMind("ours", asFinding(again.Ours), r.Ours)
	}
	for i, d := range r.Differences {
		if i == linesPerReport {
			fmt.Fprintf(l.Out, "  and %d more\n", len(r.Differences)-i)
			break
		}
		fmt.Fprintf(l.Out, "  %s\n", d)
	}
	only := ""
	if len(l.Only) > 0 {
		only = " --only " + strings.Join(l.Only, ",")
	}
	if len(l.Without) > 0 {
		only += " --without " + strings.Join(l.Without, ",")
	}
	fmt.Fprintf(l.Out, "  again: go run . fidelity --seed %d --decisions %d%s\n", l.seed, l.count, only)
	if l.Dump == "" {
		return nil
	}
	path := filepath.Join(l.Dump, fmt.Sprintf("%s-%d-%d.yaml", strings.Trim(strings.ReplaceAll(sort, "/", "-"), "-"), l.seed, l.count))
	if err := c.write(path, r); err != nil {
		return err
	}
	fmt.Fprintf(l.Out, "  objects: %s; again: go run . case %s\n", path, path)
	return nil
}

// ownMind tells whether a scheduler says the same of a case when it is new.
func (l *life) ownMind(who string, fresh *reference.Finding, grown *sched.Explanation) {
	if d := compare(fresh, grown); len(d) > 0 {
		fmt.Fprintf(l.Out, "  %s is not of its own mind, new (left) and grown (right): %s\n", who, d[0])
	}
}

func asFinding(e *sched.Explanation) *reference.Finding {
	f := &reference.Finding{Explanation: *e}
	if e.Chosen != "" {
		f.Best = []string{e.Chosen}
	}
	if e.Preemption != nil {
		f.BestCandidates = []string{e.Preemption.Node}
	}
	return f
}

// podHeader begins the line of a case's file that names the pod.
const podHeader = "# pod: "

// write puts a case into a file: the pod and the differences as comments, then the objects.
func (c *Case) write(path string, r *Result) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s\n", podHeader, c.Pod)
	for _, d := range r.Differences {
		fmt.Fprintf(&b, "# %s\n", strings.ReplaceAll(d.String(), "\n", " "))
	}
	for _, o := range c.Objects {
		data, err := yaml.Marshal(kinds.WithType(o))
		if err != nil {
			return fmt.Errorf("write %v: %w", kinds.RefOf(o), err)
		}
		fmt.Fprintf(&b, "---\n%s", data)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// ReadCase reads a case's file.
func ReadCase(path string) (*Case, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(string(data), "\n")
	name, ok := strings.CutPrefix(first, podHeader)
	if !ok {
		return nil, fmt.Errorf("%s:1: it says %q, but the first line of a case names the pod: %qnamespace/name", path, first, podHeader)
	}
	docs, err := kinds.Decode(path, data)
	if err != nil {
		return nil, err
	}
	c := &Case{Pod: parseKey(strings.TrimSpace(name))}
	for _, d := range docs {
		c.Objects = append(c.Objects, d.Object)
	}
	if c.pod() == nil {
		return nil, fmt.Errorf("%s:1: there is no pod %s among the objects", path, c.Pod)
	}
	return c, nil
}

// Look compares the two schedulers on a case.
func (c *Case) Look() (*Result, error) { return c.again() }

// String is the summary as a few lines.
func (s *Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d decisions in %d clusters compared, %d differ, %.1f s (in %d more upstream's memory misled it)\n", s.Decisions, s.Clusters, s.Differ, s.Elapsed.Seconds(), s.Stale)
	fmt.Fprintf(&b, "  found a node: %d, victims: %d, nothing (by who refuses some node):", s.Placed, s.Preempted)
	for _, k := range slices.Sorted(maps.Keys(s.Refused)) {
		fmt.Fprintf(&b, " %s %d", k, s.Refused[k])
	}
	b.WriteString("\n")
	for _, k := range slices.Sorted(maps.Keys(s.Differences)) {
		fmt.Fprintf(&b, "  differ in %s: %d decisions\n", k, s.Differences[k])
	}
	return b.String()
}
