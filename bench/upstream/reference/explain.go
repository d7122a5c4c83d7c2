package reference

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/util"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
)

// Finding is how kube-scheduler looks at a pod. Of the explanation, Chosen is one of
// Best, where kube-scheduler would pick at random.
type Finding struct {
	sched.Explanation
	Best           []string // the nodes it may choose
	BestCandidates []string // the nodes it may take victims off
	Nominated      bool     // it takes the node that the pod is nominated to, which is tried first
	Failed         bool     // a plugin failed, other than by refusing; Message says how
}

// attempt is one look at one pod.
type attempt struct {
	*Reference
	pod      *corev1.Pod
	state    *framework.CycleState
	nodes    []fwk.NodeInfo
	feasible []fwk.NodeInfo
	status   *framework.NodeToStatus
	diag     framework.Diagnosis
	out      *Finding
}

// Explain looks at a pod, which must have been told of by Apply.
func (r *Reference) Explain(pod *corev1.Pod) (*Finding, error) {
	if err := r.sched.Cache.UpdateSnapshot(klog.Background(), r.snapshot); err != nil {
		return nil, fmt.Errorf("upstream's snapshot: %w", err)
	}
	nodes, err := r.snapshot.NodeInfos().List()
	if err != nil {
		return nil, fmt.Errorf("upstream's snapshot: %w", err)
	}
	a := &attempt{Reference: r, pod: pod, state: framework.NewCycleState(), nodes: nodes,
		out: &Finding{Explanation: sched.Explanation{Pod: kinds.KeyOf(pod).String()}}}
	if len(nodes) == 0 {
		a.out.Message = scheduler.ErrNoNodesAvailable.Error()
		return a.out, nil
	}
	a.diag.NodeToStatus = framework.NewDefaultNodeToStatus()
	if err := a.filter(); err != nil {
		a.out.Failed, a.out.Message = true, err.Error()
		return a.out, nil
	}
	a.table()
	if len(a.feasible) == 0 {
		return a.out, a.postFilter()
	}
	return a.out, a.score()
}

// filter fills in what the filters say. An error is a plugin's failure.
func (a *attempt) filter() error {
	pre, st, by := a.profile.RunPreFilterPlugins(a.ctx, a.state, a.pod)
	if !st.IsSuccess() {
		if !st.IsRejected() {
			return st.AsError()
		}
		a.diag.NodeToStatus.SetAbsentNodesStatus(st)
		a.diag.PreFilterMsg = st.Message()
		a.out.Refused, a.out.Plugin = st.Message(), st.Plugin()
		return nil
	}
	nodes := a.nodes
	if !pre.AllNodes() {
		nodes = slices.DeleteFunc(slices.Clone(nodes), func(n fwk.NodeInfo) bool { return !pre.NodeNames.Has(n.Node().Name) })
		a.diag.NodeToStatus.SetAbsentNodesStatus(fwk.NewStatus(fwk.UnschedulableAndUnresolvable,
			fmt.Sprintf("node(s) didn't satisfy plugin(s) %v", sets.List(by))).WithPlugin(sets.List(by)[0]))
	}
	for _, n := range nodes {
		st := a.profile.RunFilterPluginsWithNominatedPods(a.ctx, a.state, a.pod, n)
		switch {
		case st.IsSuccess():
			a.feasible = append(a.feasible, n)
		case st.Code() == fwk.Error:
			return st.AsError()
		default:
			a.diag.NodeToStatus.Set(n.Node().Name, st)
		}
	}
	return nil
}

// table writes down the filters' verdicts by node, in the nodes' order.
func (a *attempt) table() {
	feasible := sets.New[string]()
	for _, n := range a.feasible {
		feasible.Insert(n.Node().Name)
	}
	for _, n := range a.nodes {
		row := sched.NodeExplanation{Node: n.Node().Name}
		if !feasible.Has(row.Node) {
			st := a.diag.NodeToStatus.Get(row.Node)
			row.RejectedBy, row.Reasons = st.Plugin(), slices.Clone(st.Reasons())
			row.Hopeless = st.Code() == fwk.UnschedulableAndUnresolvable
		}
		a.out.Nodes = append(a.out.Nodes, row)
	}
}

func (a *attempt) score() error {
	if st := a.profile.RunPreScorePlugins(a.ctx, a.state, a.pod, a.feasible); !st.IsSuccess() {
		return fmt.Errorf("upstream's scores: %w", st.AsError())
	}
	scores, st := a.profile.RunScorePlugins(a.ctx, a.state, a.pod, a.feasible)
	if !st.IsSuccess() {
		return fmt.Errorf("upstream's scores: %w", st.AsError())
	}
	top := int64(-1)
	for _, of := range scores {
		i := slices.IndexFunc(a.out.Nodes, func(n sched.NodeExplanation) bool { return n.Node == of.Name })
		for _, s := range of.Scores {
			w := a.weights[s.Name]
			a.out.Nodes[i].Scores = append(a.out.Nodes[i].Scores, sched.PluginScore{Plugin: s.Name, Score: s.Score / w, Weight: w})
		}
		a.out.Nodes[i].Total = of.TotalScore
		if of.TotalScore > top {
			top, a.out.Best = of.TotalScore, nil
		}
		if of.TotalScore == top {
			a.out.Best = append(a.out.Best, of.Name)
		}
	}
	for _, n := range a.feasible {
		if n.Node().Name == a.pod.Status.NominatedNodeName { // it is tried first, and taken if it will do
			a.out.Best, a.out.Nominated = []string{n.Node().Name}, true
		}
	}
	slices.Sort(a.out.Best)
	a.out.Chosen = a.out.Best[0]
	return nil
}

// postFilter looks for victims, without doing anything to them, and words the message.
func (a *attempt) postFilter() error {
	fit := &framework.FitError{Pod: a.pod, NumAllNodes: len(a.nodes), Diagnosis: a.diag}
	if err := a.candidates(); err != nil {
		return err
	}
	if p := a.out.Preemption; p != nil {
		victims := 0
		for _, c := range p.Candidates {
			if c.Node == p.Node {
				victims = len(c.Victims)
			}
		}
		fit.Diagnosis.PostFilterMsg = PreemptionMessage(p.Node, victims)
	} else {
		_, st := a.profile.RunPostFilterPlugins(a.ctx, a.state, a.pod, a.diag.NodeToStatus)
		fit.Diagnosis.PostFilterMsg = st.Message()
	}
	a.out.Message = fit.Error()
	return nil
}

// PreemptionMessage is how kube-scheduler words that it has found victims: the only
// message of its that is worded here, as it comes with their removal there.
func PreemptionMessage(node string, victims int) string {
	return fmt.Sprintf("preemption: found a potential placement for pod on node %v, preempting %d victims", node, victims)
}

func (a *attempt) candidates() error {
	if ok, _ := a.preempt.PodEligibleToPreemptOthers(a.ctx, a.pod, a.diag.NodeToStatus.Get(a.pod.Status.NominatedNodeName)); !ok {
		return nil
	}
	nodes, err := a.diag.NodeToStatus.NodesForStatusCode(a.snapshot.NodeInfos(), fwk.Unschedulable)
	if err != nil || len(nodes) == 0 {
		return err
	}
	budgets, err := a.preempt.Evaluator.PdbLister.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("upstream's budgets: %w", err)
	}
	// Of several budgets of one pod, those after the first that is used up are not counted
	// down; kube-scheduler has them in the order of a map, this in that of their keys.
	slices.SortFunc(budgets, func(x, y *policyv1.PodDisruptionBudget) int { return kinds.KeyOf(x).Compare(kinds.KeyOf(y)) })
	found, _, err := a.preempt.Evaluator.DryRunPreemption(a.ctx, a.state, a.pod, nodes, budgets, 0, int32(len(nodes)))
	if err != nil || len(found) == 0 {
		return nil // RunPostFilterPlugins will come to the same and word it
	}
	p := &sched.Preemption{Node: a.preempt.Evaluator.SelectCandidate(a.ctx, found).Name()}
	for _, c := range found {
		row := sched.Candidate{Node: c.Name(), Violations: int(c.Victims().NumPDBViolations)}
		for _, v := range c.Victims().Pods {
			row.Victims = append(row.Victims, kinds.KeyOf(v).String())
		}
		p.Candidates = append(p.Candidates, row)
	}
	// Candidates as good as the chosen one: where kube-scheduler goes by the order of a map.
	worths := map[string]worth{}
	for _, c := range found {
		worths[c.Name()] = worthOf(c.Victims())
	}
	for name, w := range worths {
		if w == worths[p.Node] {
			a.out.BestCandidates = append(a.out.BestCandidates, name)
		}
	}
	slices.Sort(a.out.BestCandidates)
	slices.SortFunc(p.Candidates, func(x, y sched.Candidate) int { return cmp.Compare(x.Node, y.Node) })
	a.out.Preemption = p
	return nil
}

// worth is by what kube-scheduler compares candidates.
type worth struct {
	violations, highest, sum int64
	pods                     int
	started                  int64
}

func worthOf(v *extenderv1.Victims) worth {
	w := worth{violations: v.NumPDBViolations, pods: len(v.Pods), highest: int64(corev1helpers.PodPriority(v.Pods[0]))}
	for _, p := range v.Pods {
		w.sum += int64(corev1helpers.PodPriority(p)) + math.MaxInt32 + 1
	}
	w.started = util.GetEarliestPodStartTime(v).UnixNano()
	return w
}
