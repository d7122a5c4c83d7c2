package sched

// The reasons for which a filter rejects a node, in kube-scheduler's words.
const (
	reasonUnschedulable = "node(s) were unschedulable"
	reasonNodeName      = "node(s) didn't match the requested node name"
	reasonTaint         = "node(s) had untolerated taint(s)"
	reasonAffinity      = "node(s) didn't match Pod's node affinity/selector"
	reasonEnforced      = "node(s) didn't match scheduler-enforced node affinity"
	reasonNotNamed      = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
	reasonConflict      = "pod affinity terms conflict"
	reasonPorts         = "node(s) didn't have free ports for the requested pod ports"
	reasonPods          = "Too many pods"
	reasonSpread        = "node(s) didn't match pod topology spread constraints"
	reasonSpreadLabel   = "node(s) didn't match pod topology spread constraints (missing required label)"
	reasonNear          = "node(s) didn't match pod affinity rules"
	reasonApart         = "node(s) didn't match pod anti-affinity rules"
	reasonKept          = "node(s) didn't satisfy existing pods anti-affinity rules"
	reasonNoHelp        = "Preemption is not helpful for scheduling"
	reasonNoVictims     = "No preemption victims found for incoming pod"
)

// reasonsMax is how many different rejections are told apart.
const reasonsMax = 1 << 16

// rejection is why a filter refuses a node.
type rejection struct {
	plugin   string
	reasons  []string
	hopeless bool // taking pods off the node would not help
}

// reasons numbers the rejections there have been, so that a column holds a number.
type reasons struct {
	list  []rejection
	byKey map[string]int32
	key   []byte // reused
}

// accepted is the number of no rejection.
const accepted int32 = -1

// number is a rejection's number.
func (r *reasons) number(plugin string, hopeless bool, why ...string) int32 {
	k := key(r.key[:0])
	k.text(plugin)
	if hopeless {
		k.num(1)
	}
	for _, w := range why {
		k.text(w)
	}
	r.key = k
	n, ok := r.byKey[string(k)]
	if !ok {
		if len(r.list) >= reasonsMax {
			panic("sched: more different rejections than reasonsMax")
		}
		n = int32(len(r.list))
		r.list = append(r.list, rejection{plugin, append([]string(nil), why...), hopeless})
		r.byKey[string(k)] = n
	}
	return n
}
