package sched

// DotProduct prefers the node whose free resources are most like what the pod asks for:
// the dot product of the two, each in shares of what the node has, as Tetris aligns tasks
// and machines (Grandl et al., Multi-resource packing for cluster schedulers, SIGCOMM
// '14, section 3.2). It is divided by the sum of the pod's shares, so that it is from 0
// to 100 for large pods and small ones.
func (Policies) DotProduct(args []byte) (Policy, error) {
	return Policy{Node: aligned}, noArguments(args)
}

func aligned(n NodeView, want Wish) int64 {
	const scale = 10_000 // of shares
	var dot, sum int64
	for _, r := range packed {
		has, asks := n.Allocatable(r), want.Request(r)
		if has <= 0 || asks <= 0 {
			continue
		}
		asked, free := part(asks, has, scale), part(has-n.Used(r), has, scale)
		dot += asked * free
		sum += asked
	}
	if sum == 0 {
		return 0
	}
	return dot * scoreMax / (sum * scale)
}

// part is amount in so many parts of has. Memory in bytes has no room for the product.
func part(amount, has, parts int64) int64 {
	for amount > 1<<48 || has > 1<<48 {
		amount, has = amount>>8, has>>8
	}
	return max(amount, 0) * parts / max(has, 1)
}
