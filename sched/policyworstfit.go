package sched

// WorstFit is BestFit's opposite: it prefers the node whose free room the pod fills least.
func (Policies) WorstFit(args []byte) (Policy, error) {
	return Policy{Node: func(n NodeView, want Wish) int64 { return scoreMax - filled(n, want) }}, noArguments(args)
}
