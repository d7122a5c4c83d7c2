package sched

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Decision says where a pod goes, or why nowhere.
type Decision struct {
	Node     string // empty when no node can take the pod
	Score    int64  // of that node
	Nodes    int    // nodes looked at
	Feasible int    // nodes that could take the pod
	// Rejected says why none could, and is empty when one could.
	Rejected []Rejection
	// Hopeless is the number of nodes that no preemption could help: those
	// rejected for anything but what other pods use.
	Hopeless int
}

// Rejection counts the nodes that were rejected for one reason.
type Rejection struct {
	Reason string // kube-scheduler's own words: "Insufficient cpu"
	Nodes  int
}

// Message is the text of the FailedScheduling event and of the PodScheduled
// condition, as kube-scheduler words it.
func (d *Decision) Message() string {
	parts := make([]string, len(d.Rejected))
	for i, r := range d.Rejected {
		parts[i] = fmt.Sprintf("%d %s", r.Nodes, r.Reason)
	}
	slices.Sort(parts)
	why := strings.Join(parts, ", ")
	if d.Nodes == 0 {
		return "no nodes available to schedule pods"
	}
	msg := fmt.Sprintf("0/%d nodes are available: %s.", d.Nodes, why)
	var pre []string
	if d.Hopeless > 0 {
		pre = append(pre, fmt.Sprintf("%d Preemption is not helpful for scheduling", d.Hopeless))
	}
	if n := d.Nodes - d.Hopeless; n > 0 {
		pre = append(pre, fmt.Sprintf("%d No preemption victims found for incoming pod", n))
	}
	slices.Sort(pre)
	return msg + fmt.Sprintf(" preemption: 0/%d nodes are available: %s.", d.Nodes, strings.Join(pre, ", "))
}

// Weights of the scores in kube-scheduler's default profile.
const (
	weightTaints   = 3
	weightAffinity = 2
	weightLeast    = 1
	weightBalanced = 1
	scoreMax       = 100
)

// Decide chooses a node for a pod. It changes nothing: the caller assumes the pod
// on the node it was given.
func (s *Snapshot) Decide(pod *corev1.Pod) Decision {
	w := newWish(pod)
	if d, ok := s.kept(w); ok {
		return d
	}
	return s.decideAfresh(w)
}

// decideAfresh looks at every node.
func (s *Snapshot) decideAfresh(w *wish) Decision {
	d := Decision{Nodes: s.count}
	reject := map[string]*Rejection{}
	var feasible []int
	for i, n := range s.nodes {
		if n == nil {
			continue
		}
		if why, hopeless := s.filter(i, w); why != nil {
			d.count(reject, why, hopeless)
			continue
		}
		feasible = append(feasible, i)
	}
	if len(feasible) > 0 {
		best, score := s.best(w, feasible)
		return Decision{Node: s.nodes[best].Name, Score: score, Nodes: s.count, Feasible: len(feasible)}
	}
	for _, r := range reject { //det:ok sorted just below; no reason is there twice
		d.Rejected = append(d.Rejected, *r)
	}
	slices.SortFunc(d.Rejected, func(a, b Rejection) int { return cmp.Compare(a.Reason, b.Reason) })
	return d
}

// best is the node with the highest score of those that could take the pod.
func (s *Snapshot) best(w *wish, feasible []int) (best int, top int64) {
	taints, affinity := s.softScores(w, feasible)
	best, top = -1, -1
	topHash := uint64(0)
	for _, i := range feasible {
		score := weightLeast*s.leastAllocated(i, w) + weightBalanced*s.balanced(i, w) + weightTaints*scoreMax
		if taints != nil {
			score -= weightTaints * (scoreMax - taints[i])
		}
		if affinity != nil {
			score += weightAffinity * affinity[i]
		}
		h := mix(w.hash, s.hashes[i])
		if score > top || score == top && (h > topHash || h == topHash && s.nodes[i].Name < s.nodes[best].Name) {
			best, top, topHash = i, score, h
		}
	}
	return best, top
}

func (d *Decision) count(by map[string]*Rejection, why []string, hopeless bool) {
	if hopeless {
		d.Hopeless++
	}
	for _, reason := range why {
		r := by[reason]
		if r == nil {
			r = &Rejection{Reason: reason}
			by[reason] = r
		}
		r.Nodes++
	}
}

func mix(a, b uint64) uint64 {
	x := a ^ b*0x9e3779b97f4a7c15
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

// wish is what a pod asks of a node, worked out once a decision.
type wish struct {
	pod      *corev1.Pod
	req      amounts
	scored   amounts
	ports    []hostPort
	selector *nodeSelector // required: nodeSelector and affinity; nil for none
	soft     []softTerm    // preferred node affinity
	hash     uint64
}

func newWish(pod *corev1.Pod) *wish {
	w := &wish{pod: pod, hash: hashString(string(pod.UID))}
	w.req, w.scored = requests(&pod.Spec)
	eachHostPort(&pod.Spec, func(p hostPort) bool { w.ports = append(w.ports, p); return true })
	w.selector, w.soft = compileAffinity(&pod.Spec)
	return w
}
