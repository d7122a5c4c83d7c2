package nodelifecycle

import (
	"encoding/json"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/ctrl"
)

// rule is a condition's status that becomes a taint.
type rule struct {
	condition corev1.NodeConditionType
	status    corev1.ConditionStatus
	key       string
	evicts    bool // also with the effect NoExecute
}

// rules are the taints by condition
// (https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-nodes-by-condition).
func rules() []rule {
	return []rule{
		{corev1.NodeReady, corev1.ConditionFalse, corev1.TaintNodeNotReady, true},
		{corev1.NodeReady, corev1.ConditionUnknown, corev1.TaintNodeUnreachable, true},
		{corev1.NodeMemoryPressure, corev1.ConditionTrue, corev1.TaintNodeMemoryPressure, false},
		{corev1.NodeDiskPressure, corev1.ConditionTrue, corev1.TaintNodeDiskPressure, false},
		{corev1.NodePIDPressure, corev1.ConditionTrue, corev1.TaintNodePIDPressure, false},
		{corev1.NodeNetworkUnavailable, corev1.ConditionTrue, corev1.TaintNodeNetworkUnavailable, false},
	}
}

// tend brings a node's taints in line with its conditions. Taints of others, and
// those that stand already, keep their place and their time.
func tend(now time.Time, n *corev1.Node, p *ctrl.Plan) {
	want := wanted(n)
	var taints []corev1.Taint
	changed := false
	for _, t := range n.Spec.Taints {
		if ours(n, t) && !slices.ContainsFunc(want, func(w corev1.Taint) bool { return w.MatchTaint(&t) }) {
			changed = true
			continue
		}
		taints = append(taints, t)
	}
	for _, w := range want {
		if !slices.ContainsFunc(taints, func(t corev1.Taint) bool { return w.MatchTaint(&t) }) {
			at := metav1.NewTime(now)
			w.TimeAdded = &at
			taints = append(taints, w)
			changed = true
		}
	}
	if !changed {
		return
	}
	body, err := json.Marshal(map[string]any{"spec": map[string]any{"taints": taints}})
	if err != nil {
		panic("nodelifecycle: taints that are no JSON: " + err.Error())
	}
	w := api.Patch(kinds.RefOf(n), types.StrategicMergePatchType, body)
	w.UID, w.RV = n.UID, n.ResourceVersion
	p.Write(w)
}

// wanted are the taints that the node's conditions and spec ask for: those that
// keep pods away, then those that drive them off.
func wanted(n *corev1.Node) []corev1.Taint {
	var keepAway, driveOff []corev1.Taint
	for _, r := range rules() {
		if c := condition(n, r.condition); c == nil || c.Status != r.status {
			continue
		}
		keepAway = append(keepAway, corev1.Taint{Key: r.key, Effect: corev1.TaintEffectNoSchedule})
		if r.evicts {
			driveOff = append(driveOff, corev1.Taint{Key: r.key, Effect: corev1.TaintEffectNoExecute})
		}
	}
	if n.Spec.Unschedulable {
		keepAway = append(keepAway, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
	}
	return append(keepAway, driveOff...)
}

// ours says whether this controller may remove such a taint. The NoExecute ones
// stay while the node has no condition Ready: it has not said yet how it is.
func ours(n *corev1.Node, t corev1.Taint) bool {
	if t.Effect == corev1.TaintEffectNoExecute && condition(n, corev1.NodeReady) == nil {
		return false
	}
	if t.Effect == corev1.TaintEffectNoSchedule && t.Key == corev1.TaintNodeUnschedulable {
		return true
	}
	for _, r := range rules() {
		if t.Key == r.key && (t.Effect == corev1.TaintEffectNoSchedule || (r.evicts && t.Effect == corev1.TaintEffectNoExecute)) {
			return true
		}
	}
	return false
}
