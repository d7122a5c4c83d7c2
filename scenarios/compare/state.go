package compare

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
)

// Line is what is compared of one thing at the end of a run.
type Line struct {
	What string // "deployment/default/web", "pods of deployment/default/web"
	Is   string // "ready 3 of 3"
}

// Difference is a thing that came out differently; "" where it is not there.
type Difference struct{ What, A, B string }

// State reads what a cluster is like, in the order of What.
func State(s *store.Store) []Line {
	var out []Line
	for o := range s.List(kinds.Node, "") {
		n := o.(*corev1.Node)
		out = append(out, Line{"node/" + n.Name, fmt.Sprintf("Ready %s, taints %s", ready(n), taints(n))})
	}
	for _, k := range []kinds.Kind{kinds.Deployment, kinds.StatefulSet, kinds.ReplicationController, kinds.ReplicaSet} {
		for o := range s.List(k, "") {
			if want, has, _ := replicas(o); metav1.GetControllerOfNoCopy(o) == nil {
				out = append(out, Line{name(k, o), fmt.Sprintf("ready %d of %d", has, want)})
			}
		}
	}
	for o := range s.List(kinds.Job, "") {
		j := o.(*batchv1.Job)
		if metav1.GetControllerOfNoCopy(o) == nil {
			out = append(out, Line{name(kinds.Job, o), fmt.Sprintf("succeeded %d, failed %d, active %d", j.Status.Succeeded, j.Status.Failed, j.Status.Active)})
		}
	}
	out = append(out, pods(s)...)
	out = append(out, endpoints(s)...)
	slices.SortFunc(out, func(a, b Line) int { return cmp.Compare(a.What, b.What) })
	return out
}

func name(k kinds.Kind, o kinds.Object) string {
	return lower(k) + "/" + o.GetNamespace() + "/" + o.GetName()
}

func ready(n *corev1.Node) corev1.ConditionStatus {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return "not said"
}

func taints(n *corev1.Node) string {
	var list []string
	for _, t := range n.Spec.Taints {
		list = append(list, t.ToString())
	}
	slices.Sort(list)
	return "[" + strings.Join(list, " ") + "]"
}

// pods counts those of each workload by phase and readiness; one without a workload is
// told by its name.
func pods(s *store.Store) []Line {
	counts := map[string]map[string]int{}
	for o := range s.List(kinds.Pod, "") {
		p := o.(*corev1.Pod)
		of := "pods of " + owner(s, p)
		state := string(p.Status.Phase)
		if p.Status.Phase == corev1.PodRunning && !view.Ready(p) {
			state += ", not ready"
		}
		if p.DeletionTimestamp != nil {
			state = "Terminating"
		}
		if counts[of] == nil {
			counts[of] = map[string]int{}
		}
		counts[of][state]++
	}
	var out []Line
	for of, states := range counts { //det:ok State sorts the lines
		var list []string
		for state, n := range states { //det:ok sorted below, before use
			list = append(list, fmt.Sprintf("%d %s", n, state))
		}
		slices.Sort(list)
		out = append(out, Line{of, strings.Join(list, "; ")})
	}
	return out
}

// owner is the workload that a pod belongs to in the end.
func owner(s *store.Store, p *corev1.Pod) string {
	var o kinds.Object = p
	is := name(kinds.Pod, p)
	for range 3 { // pod, ReplicaSet, Deployment; pod, Job, CronJob
		c := metav1.GetControllerOfNoCopy(o)
		if c == nil {
			return is
		}
		is = strings.ToLower(c.Kind) + "/" + p.Namespace + "/" + c.Name
		k, ok := kinds.ByName(c.Kind)
		if !ok {
			return is
		}
		if o = s.Get(kinds.Ref{Kind: k, Key: kinds.Key{Namespace: p.Namespace, Name: c.Name}}); o == nil {
			return is
		}
	}
	return is
}

// endpoints counts the ready addresses of each service.
func endpoints(s *store.Store) []Line {
	ready := map[string]map[string]bool{}
	for o := range s.List(kinds.EndpointSlice, "") {
		slice := o.(*discoveryv1.EndpointSlice)
		of := slice.Namespace + "/" + slice.Labels[discoveryv1.LabelServiceName]
		if ready[of] == nil {
			ready[of] = map[string]bool{}
		}
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && *e.Conditions.Ready {
				for _, a := range e.Addresses {
					ready[of][a] = true
				}
			}
		}
	}
	var out []Line
	for o := range s.List(kinds.Service, "") {
		svc := o.(*corev1.Service)
		if len(svc.Spec.Selector) > 0 {
			out = append(out, Line{name(kinds.Service, o), fmt.Sprintf("%d ready addresses", len(ready[svc.Namespace+"/"+svc.Name]))})
		}
	}
	return out
}

// Differences are the things that are not the same in two states.
func Differences(a, b []Line) []Difference {
	was := map[string]string{}
	for _, l := range a {
		was[l.What] = l.Is
	}
	var out []Difference
	seen := map[string]bool{}
	for _, l := range b {
		seen[l.What] = true
		if was[l.What] != l.Is {
			out = append(out, Difference{l.What, was[l.What], l.Is})
		}
	}
	for _, l := range a {
		if !seen[l.What] {
			out = append(out, Difference{l.What, l.Is, ""})
		}
	}
	slices.SortFunc(out, func(a, b Difference) int { return cmp.Compare(a.What, b.What) })
	return out
}
