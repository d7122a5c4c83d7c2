package why

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
)

// attemptsMax bounds the attempts that a Scheduling keeps: the first ones and the
// last, as the middle of a long wait is all alike.
const attemptsMax = 1000

// Scheduling is how the scheduler looked at one pod.
type Scheduling struct {
	Pod      string    `json:"pod"`
	Attempts []Attempt `json:"attempts"`
	// Omitted is how many attempts there were beyond those that are kept.
	Omitted int `json:"omitted,omitempty"`
	// Waiting is how the pod, that has no node yet, would be looked at at the end.
	Waiting *Attempt `json:"waiting,omitempty"`
}

// Attempt is one look for a node.
type Attempt struct {
	At time.Duration `json:"at"` // since the start of the run, ns
	*sched.Explanation
}

// NewScheduling returns what is known of a pod before any attempt.
func NewScheduling(pod kinds.Ref) *Scheduling { return &Scheduling{Pod: pod.String()} }

// Note takes one attempt.
func (s *Scheduling) Note(at time.Duration, e *sched.Explanation) {
	if len(s.Attempts) >= attemptsMax {
		s.Attempts = slices.Delete(s.Attempts, attemptsMax/2, attemptsMax/2+1)
		s.Omitted++
	}
	s.Attempts = append(s.Attempts, Attempt{at, e})
}

// Wait says how the pod would be looked at now; it has no node yet.
func (s *Scheduling) Wait(at time.Duration, e *sched.Explanation) { s.Waiting = &Attempt{at, e} }

// Write prints the attempts, a line each, and the table of the last. rows bounds the
// nodes that are printed of those that could take the pod, and of those that could not.
func (s *Scheduling) Write(w io.Writer, rows int) {
	if len(s.Attempts) == 0 && s.Waiting == nil {
		fmt.Fprintf(w, "%s: the scheduler has never looked for a node for it\n", s.Pod)
		return
	}
	fmt.Fprintf(w, "%s: attempts to find a node: %d\n", s.Pod, len(s.Attempts)+s.Omitted)
	for i, a := range s.Attempts {
		if s.Omitted > 0 && i == attemptsMax/2 {
			fmt.Fprintf(w, "%12s  (%d more)\n", "", s.Omitted)
		}
		fmt.Fprintf(w, "%12v  %s\n", a.At.Round(time.Millisecond), a.outcome())
	}
	last := s.Waiting
	if last != nil {
		fmt.Fprintf(w, "\nas things stand at %v\n", last.At.Round(time.Millisecond))
	} else {
		last = &s.Attempts[len(s.Attempts)-1]
		fmt.Fprintf(w, "\nat %v\n", last.At.Round(time.Millisecond))
	}
	last.table(w, rows)
}

// outcome says in a line what came of an attempt.
func (a *Attempt) outcome() string {
	switch {
	case a.Chosen != "":
		able := 0
		for i := range a.Nodes {
			if a.Nodes[i].RejectedBy == "" {
				able++
			}
		}
		return fmt.Sprintf("%s, of %d nodes that could take it", a.Chosen, able)
	case a.Preemption != nil && a.Preemption.Node != "":
		return fmt.Sprintf("no node; room is made on %s", a.Preemption.Node)
	}
	return a.Message
}

// table prints what each plugin says of each node.
func (a *Attempt) table(w io.Writer, rows int) {
	if a.Refused != "" {
		fmt.Fprintf(w, "  %s lets it onto no node: %s\n", a.Plugin, a.Refused)
		return
	}
	var able, unable []sched.NodeExplanation
	for _, n := range a.Nodes {
		if n.RejectedBy == "" {
			able = append(able, n)
		} else {
			unable = append(unable, n)
		}
	}
	a.scores(w, able, rows)
	rejections(w, unable, rows)
	a.candidates(w, rows)
}

// scores prints the nodes that could take the pod, with score x weight of each plugin.
func (a *Attempt) scores(w io.Writer, able []sched.NodeExplanation, rows int) {
	if len(able) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "  node\ttotal\t")
	for _, s := range able[0].Scores {
		fmt.Fprintf(t, "%s x%d\t", s.Plugin, s.Weight)
	}
	fmt.Fprintln(t)
	for i, n := range able {
		if i == rows {
			break
		}
		mark := " "
		if n.Node == a.Chosen {
			mark = "*"
		}
		fmt.Fprintf(t, "%s %s\t%d\t", mark, n.Node, n.Total)
		for _, s := range n.Scores {
			fmt.Fprintf(t, "%d\t", s.Score)
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	more(w, len(able), rows)
}

// rejections prints the nodes that could not take the pod.
func rejections(w io.Writer, unable []sched.NodeExplanation, rows int) {
	if len(unable) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\n  refused\tby\tbecause")
	for i, n := range unable {
		if i == rows {
			break
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", n.Node, n.RejectedBy, strings.Join(n.Reasons, ", "))
	}
	t.Flush()
	more(w, len(unable), rows)
}

// candidates prints where room could be made, and who would have to go.
func (a *Attempt) candidates(w io.Writer, rows int) {
	if a.Preemption == nil || len(a.Preemption.Candidates) == 0 {
		return
	}
	fmt.Fprintln(w, "\n  room could be made on")
	for i, c := range a.Preemption.Candidates {
		if i == rows {
			break
		}
		mark := " "
		if c.Node == a.Preemption.Node {
			mark = "*"
		}
		fmt.Fprintf(w, "%s %s, if %s went", mark, c.Node, strings.Join(c.Victims, ", "))
		if c.Violations > 0 {
			fmt.Fprintf(w, "; breaks %d disruption budgets", c.Violations)
		}
		fmt.Fprintln(w)
	}
	more(w, len(a.Preemption.Candidates), rows)
}

func more(w io.Writer, all, rows int) {
	if all > rows {
		fmt.Fprintf(w, "  and %d more; --rows or --json shows them\n", all-rows)
	}
}
