package sched

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched/rounding"
)

// Explanation is how one pod was looked at: the table of nodes and plugins. Every
// filter is asked about every node in the profile's order, without the columns that
// are kept between decisions; Decide must come to the same node.
type Explanation struct {
	Pod string `json:"pod"` // namespace/name
	// Refused says why no node was looked at, as when a claim does not exist; Plugin
	// is who says so.
	Refused string `json:"refused,omitempty"`
	Plugin  string `json:"plugin,omitempty"`
	// Nodes are in the order of the decision: the chosen one first, then the others
	// that could take the pod by their total, then those that could not, by name.
	Nodes []NodeExplanation `json:"nodes"`
	// Chosen is the node, "" for none.
	Chosen string `json:"chosen,omitempty"`
	// Message is the text of the pod's condition when there is no node.
	Message string `json:"message,omitempty"`
	// Preemption is what was found when there is no node and victims were looked for.
	Preemption *Preemption `json:"preemption,omitempty"`
}

// NodeExplanation is what every plugin says of one node.
type NodeExplanation struct {
	Node string `json:"node"`
	// RejectedBy is the first filter that refuses the node, "" if none does.
	RejectedBy string   `json:"rejectedBy,omitempty"`
	Reasons    []string `json:"reasons,omitempty"` // in kube-scheduler's words
	// Hopeless: taking pods off the node would not help (UnschedulableAndUnresolvable).
	Hopeless bool          `json:"hopeless,omitempty"`
	Scores   []PluginScore `json:"scores,omitempty"` // of a node that could take the pod, in the profile's order
	Total    int64         `json:"total,omitempty"`
}

// PluginScore is what one plugin gives a node: 0 to 100, before the weight. A plugin
// that has nothing to say of the pod is left out, as kube-scheduler skips it.
type PluginScore struct {
	Plugin string `json:"plugin"`
	Score  int64  `json:"score"`
	Weight int64  `json:"weight"`
}

// Preemption is where room could be made for a pod, and at whose cost.
type Preemption struct {
	Node       string      `json:"node,omitempty"` // chosen; "" when no victims help
	Candidates []Candidate `json:"candidates,omitempty"`
}

// Candidate is a node and the pods that would have to go.
type Candidate struct {
	Node       string   `json:"node"`
	Victims    []string `json:"victims"`    // namespace/name, the most important first
	Violations int      `json:"violations"` // of disruption budgets
}

// explain looks at a pod as decide does, and writes down what it sees.
func (s *Snapshot) explain(p *profile, pod *corev1.Pod) *Explanation {
	e := &Explanation{Pod: kinds.KeyOf(pod).String()}
	if s.count == 0 {
		e.Message = (&Decision{}).Message()
		return e
	}
	own := s.nominated.byPod[kinds.KeyOf(pod)]
	if own != nil {
		s.unnominate(own.key)
		defer s.nominate(own.pod, own.node)
	}
	x, refused := s.searchFor(p, pod)
	if refused != nil {
		e.Refused, e.Plugin = strings.Join(refused.reasons, ", "), refused.plugin
		d := Decision{Nodes: s.count, Refused: e.Refused}
		s.refuse(p, &d)
		e.Message = d.Message()
		return e
	}
	var feasible []int32
	for i, n := range s.nodes {
		if n == nil {
			continue
		}
		if why := x.whyNot(int32(i)); why != accepted {
			r := &s.reasons.list[why]
			e.Nodes = append(e.Nodes, NodeExplanation{Node: n.Name, RejectedBy: r.plugin, Reasons: r.reasons, Hopeless: r.hopeless})
		} else {
			feasible = append(feasible, int32(i))
		}
	}
	feasible, failed := e.asked(&x, feasible)
	if failed {
		return e
	}
	if len(feasible) > 0 {
		e.scored(&x, feasible)
		if i, ok := s.byName[nodeOf(own)]; ok && slices.Contains(feasible, i) {
			e.Chosen = own.node // it is looked at before the others
		}
	} else {
		e.failed(&x)
	}
	e.order()
	return e
}

// nodeOf is the node of a nomination; "" for none.
func nodeOf(n *nominee) string {
	if n == nil {
		return ""
	}
	return n.node
}

// asked asks the extenders whose business the pod is about the nodes that are good
// otherwise, and returns those that they leave. failed says that the attempt ends with
// an extender's error.
func (e *Explanation) asked(x *search, feasible []int32) (left []int32, failed bool) {
	if len(x.asked) == 0 || len(feasible) == 0 {
		return feasible, false
	}
	left, err := x.ask(slices.Clone(feasible))
	for _, i := range feasible {
		n := NodeExplanation{Node: x.s.nodes[i].Name}
		if why, ok := x.refused[i]; ok {
			r := &x.s.reasons.list[why]
			n.RejectedBy, n.Reasons, n.Hopeless = r.plugin, r.reasons, r.hopeless
		}
		if n.RejectedBy != "" || err != nil {
			e.Nodes = append(e.Nodes, n)
		}
	}
	if err != nil {
		e.Plugin, e.Message = ExtenderPlugin, err.Error()
		e.order()
		return nil, true
	}
	if len(left) > 1 {
		x.heard = x.opinions(left)
	}
	return left, false
}

// scored writes the scores of the nodes that can take the pod.
func (e *Explanation) scored(x *search, feasible []int32) {
	best, _ := x.best(feasible)
	r := x.rank(feasible)
	for k, i := range feasible {
		n := NodeExplanation{Node: x.s.nodes[i].Name, Scores: r.table(k, i)}
		for _, score := range n.Scores {
			n.Total += score.Score * score.Weight
		}
		e.Nodes = append(e.Nodes, n)
	}
	e.Chosen = x.s.nodes[best].Name
}

// table is every plugin's score of the k-th node of the list, node i, in the profile's
// order; without those that have nothing to say of the pod.
func (r *ranking) table(k int, i int32) []PluginScore {
	x := r.x
	var list []PluginScore
	for _, w := range x.p.Scores {
		score, says := r.scoreBy(w.Plugin, k, i)
		if says {
			list = append(list, PluginScore{w.Plugin, score, w.Weight})
		}
	}
	for _, o := range x.heard {
		list = append(list, PluginScore{o.extender.URLPrefix, o.scores[x.s.nodes[i].Name] * opinionScale, o.extender.Weight})
	}
	return list
}

// scoreBy is one plugin's score. says is false when it has nothing to say.
func (r *ranking) scoreBy(plugin string, k int, i int32) (score int64, says bool) {
	x := r.x
	switch plugin {
	case TaintToleration:
		return r.taint(i), true
	case NodeAffinity:
		return r.affinity(i), r.terms
	case ImageLocality:
		return x.columns.images[i], true
	case PodTopologySpread:
		if r.spread == nil {
			return 0, false
		}
		return r.spreadScore(k), true
	case InterPodAffinity:
		if r.pull == nil {
			return 0, false
		}
		return rounding.Scaled(r.pull[k], r.pullLow, r.pullTop), true
	case VolumeBinding:
		if r.volumes == nil {
			return 0, false
		}
		return r.volumes[k], true
	}
	for _, b := range x.p.policies {
		if b.plugin == plugin {
			return b.score(x, i), true
		}
	}
	for _, f := range x.p.scores {
		if f.plugin == plugin && (f.skips == nil || !f.skips(x.p, x.s, x.class.shape)) {
			return f.score(x.s, x.p, i, x.class.shape), true
		}
	}
	return 0, false
}

// failed writes the message of a pod that no node can take, and who would have to go.
func (e *Explanation) failed(x *search) {
	d := Decision{Nodes: x.s.count}
	if d.Nodes > 0 {
		x.explainFailure(&d)
		if x.p.Preempts {
			e.Preemption = &Preemption{}
			x.preempt(&d, func(i int32, c *cost) {
				victims := make([]string, len(c.victims))
				for k, r := range c.victims {
					victims[k] = r.key.String()
				}
				e.Preemption.Candidates = append(e.Preemption.Candidates, Candidate{x.s.nodes[i].Name, victims, int(c.breaking)})
			})
			e.Preemption.Node = d.Preempted
			slices.SortFunc(e.Preemption.Candidates, func(a, b Candidate) int { return cmp.Compare(a.Node, b.Node) })
		}
	}
	e.Message = d.Message()
}

// order puts the chosen node first, the others that could take the pod by their total,
// and then those that could not by name.
func (e *Explanation) order() {
	rank := func(n *NodeExplanation) int {
		switch {
		case n.Node == e.Chosen:
			return 0
		case n.RejectedBy == "":
			return 1
		}
		return 2
	}
	slices.SortFunc(e.Nodes, func(a, b NodeExplanation) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(b.Total, a.Total), cmp.Compare(a.Node, b.Node))
	})
}
