package fidelity

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"seatrial.dev/seatrial/bench/upstream/reference"
	"seatrial.dev/seatrial/sched"
)

// Difference is one thing that the two schedulers say differently of a case.
type Difference struct {
	What   string // refused, filter, score, chosen, nominated, message, preemption or decision
	Plugin string // of upstream's, or of ours where upstream names none
	Node   string
	Theirs string
	Ours   string
}

// sort is what differs, without where: what shrinking must keep.
func (d Difference) sort() string { return d.What + "/" + d.Plugin }

// String is the difference on one line.
func (d Difference) String() string {
	s := d.What
	if d.Plugin != "" {
		s += " " + d.Plugin
	}
	if d.Node != "" {
		s += " on " + d.Node
	}
	return fmt.Sprintf("%s: upstream %s; ours %s", s, d.Theirs, d.Ours)
}

// Result is what the two say of one case.
type Result struct {
	Theirs      *reference.Finding
	Ours        *sched.Explanation
	Differences []Difference
	decided     bool // as explained
}

// has says whether one of the differences is of a sort.
func (r *Result) has(sort string) bool {
	return slices.ContainsFunc(r.Differences, func(d Difference) bool { return d.sort() == sort })
}

func compare(theirs *reference.Finding, ours *sched.Explanation) []Difference {
	if ours == nil {
		return []Difference{{What: "refused", Theirs: "explains the pod", Ours: "explains nothing"}}
	}
	c := &comparison{theirs: theirs, ours: ours}
	if theirs.Refused != ours.Refused || theirs.Refused != "" && theirs.Plugin != "" && theirs.Plugin != ours.Plugin {
		c.differ("refused", theirs.Plugin, "", quote(theirs.Plugin, theirs.Refused), quote(ours.Plugin, ours.Refused))
	}
	if theirs.Refused == "" && ours.Refused == "" && !theirs.Failed {
		c.nodes()
	}
	if theirs.Chosen == "" != (ours.Chosen == "") || ours.Chosen != "" && !slices.Contains(theirs.Best, ours.Chosen) {
		what := "chosen"
		if theirs.Nominated {
			what = "nominated"
		}
		c.differ(what, "", ours.Chosen, fmt.Sprintf("one of %v", theirs.Best), quote(ours.Chosen))
	}
	if theirs.Chosen == "" {
		c.preemption()
		c.message()
	}
	return c.out
}

type comparison struct {
	theirs *reference.Finding
	ours   *sched.Explanation
	out    []Difference
}

func (c *comparison) differ(what, plugin, node, theirs, ours string) {
	c.out = append(c.out, Difference{what, plugin, node, theirs, ours})
}

func quote(of ...string) string { return fmt.Sprintf("%q", of) }

func rejection(n *sched.NodeExplanation) string {
	if n.RejectedBy == "" {
		return "takes it"
	}
	reasons := slices.Clone(n.Reasons)
	slices.Sort(reasons)
	hopeless := ""
	if n.Hopeless {
		hopeless = ", hopeless"
	}
	return fmt.Sprintf("%s%s %q", n.RejectedBy, hopeless, reasons)
}

func byNode(list []sched.NodeExplanation) map[string]*sched.NodeExplanation {
	m := map[string]*sched.NodeExplanation{}
	for i := range list {
		m[list[i].Node] = &list[i]
	}
	return m
}

func (c *comparison) nodes() {
	mine := byNode(c.ours.Nodes)
	if len(mine) != len(c.theirs.Nodes) || len(mine) != len(c.ours.Nodes) {
		c.differ("filter", "", "", fmt.Sprintf("%d nodes", len(c.theirs.Nodes)), fmt.Sprintf("%d nodes", len(c.ours.Nodes)))
	}
	feasible := 0
	for _, n := range c.theirs.Nodes {
		if n.RejectedBy == "" {
			feasible++
		}
	}
	for i := range c.theirs.Nodes {
		t := &c.theirs.Nodes[i]
		o := mine[t.Node]
		if o == nil {
			c.differ("filter", t.RejectedBy, t.Node, rejection(t), "does not name it")
			continue
		}
		if rejection(t) != rejection(o) {
			plugin := t.RejectedBy
			if plugin == "" {
				plugin = o.RejectedBy
			}
			c.differ("filter", plugin, t.Node, rejection(t), rejection(o))
		}
		if t.RejectedBy == "" && o.RejectedBy == "" && (feasible > 1 || len(o.Scores) > 0) {
			c.scores(t, o)
		}
	}
}

// absent stands for a plugin that gives a node no score.
const absent = math.MinInt64

func scoreOf(list []sched.PluginScore, plugin string) int64 {
	for _, s := range list {
		if s.Plugin == plugin {
			return s.Score
		}
	}
	return absent
}

func shown(score int64) string {
	if score == absent {
		return "says nothing"
	}
	return fmt.Sprint(score)
}

// scores compares by plugin. One that gives every node nothing, and is left out on the
// other side, is as good as not asked.
func (c *comparison) scores(t, o *sched.NodeExplanation) {
	for _, s := range t.Scores {
		ours := scoreOf(o.Scores, s.Plugin)
		if ours != s.Score && !(ours == absent && naught(c.theirs.Nodes, s.Plugin)) {
			c.differ("score", s.Plugin, t.Node, shown(s.Score), shown(ours))
		}
	}
	for _, s := range o.Scores {
		if scoreOf(t.Scores, s.Plugin) == absent && !naught(c.ours.Nodes, s.Plugin) {
			c.differ("score", s.Plugin, t.Node, "says nothing", shown(s.Score))
		}
	}
	if t.Total != o.Total && !slices.ContainsFunc(c.out, func(d Difference) bool { return d.What == "score" && d.Node == t.Node }) {
		c.differ("score", "", t.Node, fmt.Sprintf("total %d", t.Total), fmt.Sprintf("total %d", o.Total))
	}
}

// naught says whether a plugin gives no node anything.
func naught(nodes []sched.NodeExplanation, plugin string) bool {
	return !slices.ContainsFunc(nodes, func(n sched.NodeExplanation) bool {
		s := scoreOf(n.Scores, plugin)
		return s != 0 && s != absent
	})
}

func (c *comparison) preemption() {
	t, o := c.theirs.Preemption, c.ours.Preemption
	if t == nil {
		if o != nil && o.Node != "" {
			c.differ("preemption", sched.DefaultPreemption, o.Node, "has no candidate", "chooses it")
		}
		return
	}
	if o == nil {
		c.differ("preemption", sched.DefaultPreemption, t.Node, fmt.Sprintf("has %d candidates", len(t.Candidates)), "looked for none")
		return
	}
	for _, want := range t.Candidates {
		i := slices.IndexFunc(o.Candidates, func(x sched.Candidate) bool { return x.Node == want.Node })
		if i < 0 {
			c.differ("preemption", sched.DefaultPreemption, want.Node, victims(want), "no candidate")
		} else if victims(want) != victims(o.Candidates[i]) {
			c.differ("preemption", sched.DefaultPreemption, want.Node, victims(want), victims(o.Candidates[i]))
		}
	}
	for _, got := range o.Candidates {
		if !slices.ContainsFunc(t.Candidates, func(x sched.Candidate) bool { return x.Node == got.Node }) {
			c.differ("preemption", sched.DefaultPreemption, got.Node, "no candidate", victims(got))
		}
	}
	if !slices.Contains(c.theirs.BestCandidates, o.Node) {
		c.differ("preemption", sched.DefaultPreemption, o.Node, fmt.Sprintf("chooses of %v", c.theirs.BestCandidates), "chooses it")
	}
}

func victims(c sched.Candidate) string {
	return fmt.Sprintf("%d violations, victims %s", c.Violations, strings.Join(c.Victims, " "))
}

// message compares the texts, with our choice of node where upstream is free to choose.
func (c *comparison) message() {
	want := c.theirs.Message
	if t, o := c.theirs.Preemption, c.ours.Preemption; t != nil && o != nil && t.Node != o.Node && slices.Contains(c.theirs.BestCandidates, o.Node) {
		n := func(p *sched.Preemption) int {
			i := slices.IndexFunc(p.Candidates, func(x sched.Candidate) bool { return x.Node == p.Node })
			if i < 0 {
				return 0
			}
			return len(p.Candidates[i].Victims)
		}
		want = strings.Replace(want, reference.PreemptionMessage(t.Node, n(t)), reference.PreemptionMessage(o.Node, n(o)), 1)
	}
	// The text says what the table says; it is a difference of its own where the table is the same.
	if want != c.ours.Message && len(c.out) == 0 {
		plugin := c.theirs.Plugin
		if c.theirs.Preemption != nil {
			plugin = sched.DefaultPreemption
		}
		c.differ("message", plugin, "", quote(want), quote(c.ours.Message))
	}
}
