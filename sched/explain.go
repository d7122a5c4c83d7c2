package sched

// Explanation is how one pod was looked at: the table of nodes and plugins. It is
// worked out plainly, node by node and plugin by plugin, without anything that is
// kept between decisions; Decide must come to the same node.
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
