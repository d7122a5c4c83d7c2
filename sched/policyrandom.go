package sched

// Random scores nodes by a hash of the seed, the pod's UID and the node's name: a choice
// that looks at nothing, to compare others with. Its argument is {"seed": N}.
func (Policies) Random(args []byte) (Policy, error) {
	var a struct {
		Seed uint64 `json:"seed"`
	}
	err := arguments(args, &a)
	return Policy{Pod: func(n NodeView, _ Wish, hash uint64) int64 {
		return int64(mix(mix(a.Seed, hash), n.Hash()) % (scoreMax + 1))
	}}, err
}
