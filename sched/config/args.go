package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
	"seatrial.dev/seatrial/sched/volumes"
)

// Limits of arguments.
const (
	argumentsMax = 1000 // of the entries of pluginConfig, and of any list in one
	weightTop    = 100  // of a resource, and of hardPodAffinityWeight
	scoreTop     = 10   // of a point of a shape
)

// args reads a profile's pluginConfig.
func (r *reader) args(at string, list []filePluginArgs, out *sched.Profile) {
	if len(list) > argumentsMax {
		r.fail(at+".pluginConfig", "has %d entries, at most %d are allowed", len(list), argumentsMax)
		return
	}
	first := map[string]int{}
	for i := range list {
		f, field := &list[i], fmt.Sprintf("%s.pluginConfig[%d]", at, i)
		p, ok := find(f.Name)
		if j, twice := first[f.Name]; twice {
			r.fail(field+".name", "has its arguments in pluginConfig[%d] already", j)
			continue
		}
		first[f.Name] = i
		switch {
		case !ok:
			r.fail(field+".name", "%s", unknown(f.Name, multiPoint))
		case p.absent():
			r.warn(field+".name", "%s is not here: its arguments have no effect", p.name)
		case p.policy:
			r.policyArgs(field, f, out)
		default:
			r.argsOf(p.name, field+".args", f.Args != nil, out)
		}
	}
}

// policyArgs hands the arguments of a policy to the policy, which judges them.
func (r *reader) policyArgs(at string, f *filePluginArgs, out *sched.Profile) {
	if f.Args == nil {
		return
	}
	text, err := json.Marshal(f.Args)
	if err == nil {
		_, err = sched.CheckPolicy(f.Name, text)
	}
	if err != nil {
		r.fail(at+".args", "%v", err)
		return
	}
	if out.PolicyArgs == nil {
		out.PolicyArgs = map[string][]byte{}
	}
	out.PolicyArgs[f.Name] = text
}

// decode reads the arguments of a plugin over their defaults.
func (r *reader) decode(name, at string, into any, meta *metav1.TypeMeta) bool {
	n := kinds.FindNode(r.root, at)
	if n == nil {
		return true
	}
	if err := kinds.DecodeStrict(r.file, n, at, into); err != nil {
		r.include(err)
		return false
	}
	if meta.Kind != "" && meta.Kind != name+"Args" {
		r.fail(at+".kind", "must be %sArgs for the plugin %s", name, name)
	}
	if meta.APIVersion != "" && meta.APIVersion != apiVersion {
		r.fail(at+".apiVersion", "must be %s", apiVersion)
	}
	return true
}

// argsOf reads the arguments of one of kube-scheduler's plugins.
func (r *reader) argsOf(name, at string, given bool, out *sched.Profile) {
	switch name {
	case sched.NodeResourcesFit:
		r.fit(at, out)
	case sched.NodeResourcesBalancedAllocation:
		r.balanced(at, out)
	case sched.InterPodAffinity:
		in := podAffinityArgs{HardPodAffinityWeight: 1}
		if !r.decode(name, at, &in, &in.TypeMeta) {
			return
		}
		if in.HardPodAffinityWeight < 0 || in.HardPodAffinityWeight > weightTop {
			r.fail(at+".hardPodAffinityWeight", "must be from 0 to %d", weightTop)
		}
		out.Affinity = sched.InterPodAffinityArgs{HardWeight: int64(in.HardPodAffinityWeight), IgnorePreferredExisting: in.IgnorePreferredTermsOfExistingPods}
	case sched.PodTopologySpread:
		r.spread(at, out)
	case sched.NodeAffinity:
		r.nodeAffinity(at, out)
	case sched.VolumeBinding:
		r.volumeBinding(at, out)
	case sched.DefaultPreemption:
		r.preemption(at)
	default:
		if given {
			r.warn(at, "%s takes no arguments: these have no effect", name)
		}
	}
}

func (r *reader) fit(at string, out *sched.Profile) {
	var in fitArgs
	if !r.decode(sched.NodeResourcesFit, at, &in, &in.TypeMeta) || r.tooMany(at, len(in.IgnoredResources)+len(in.IgnoredResourceGroups)) {
		return
	}
	for i, name := range in.IgnoredResources {
		if list := validation.IsQualifiedName(name); len(list) > 0 {
			r.fail(fmt.Sprintf("%s.ignoredResources[%d]", at, i), "is not the name of a resource: %s", strings.Join(list, "; "))
		}
	}
	for i, group := range in.IgnoredResourceGroups {
		field := fmt.Sprintf("%s.ignoredResourceGroups[%d]", at, i)
		if strings.Contains(group, "/") {
			r.fail(field, "must be what stands before the slash of resources' names, without a slash")
		} else if list := validation.IsQualifiedName(group); len(list) > 0 {
			r.fail(field, "is not a group of resources: %s", strings.Join(list, "; "))
		}
	}
	out.Fit.Ignored, out.Fit.IgnoredGroups = in.IgnoredResources, in.IgnoredResourceGroups
	if in.ScoringStrategy != nil {
		r.strategy(at+".scoringStrategy", in.ScoringStrategy, out)
	}
}

func (r *reader) strategy(at string, in *strategy, out *sched.Profile) {
	ratio := in.RequestedToCapacityRatio
	switch in.Type {
	case sched.LeastAllocated, sched.MostAllocated:
		if ratio != nil {
			r.fail(at+".requestedToCapacityRatio", "goes with the type %s, not with %s", sched.RequestedToCapacityRatio, in.Type)
		}
	case sched.RequestedToCapacityRatio:
		if ratio == nil {
			r.fail(at+".requestedToCapacityRatio", "is required for the type %s", in.Type)
		} else {
			out.Fit.Shape = r.shape(at+".requestedToCapacityRatio.shape", ratio.Shape)
		}
	default:
		r.fail(at+".type", "must be %s, %s or %s", sched.LeastAllocated, sched.MostAllocated, sched.RequestedToCapacityRatio)
	}
	out.Fit.Strategy = in.Type
	if len(in.Resources) == 0 || r.tooMany(at+".resources", len(in.Resources)) {
		return
	}
	out.Fit.Resources = nil
	for i, x := range in.Resources {
		if x.Weight == 0 {
			x.Weight = 1
		}
		if x.Weight < 0 || x.Weight > weightTop {
			r.fail(fmt.Sprintf("%s.resources[%d].weight", at, i), "must be from 1 to %d", weightTop)
		}
		out.Fit.Resources = append(out.Fit.Resources, sched.Resource{Name: corev1.ResourceName(x.Name), Weight: x.Weight})
	}
}

// tooMany holds a list to its limit.
func (r *reader) tooMany(at string, n int) bool {
	if n > argumentsMax {
		r.fail(at, "has %d entries, at most %d are allowed", n, argumentsMax)
	}
	return n > argumentsMax
}

// shape reads a line of scores by utilization.
func (r *reader) shape(at string, list []point) (out []sched.ShapePoint) {
	if len(list) == 0 {
		r.fail(at, "is required: at least one point, such as {utilization: 0, score: 10}")
	}
	if r.tooMany(at, len(list)) {
		return nil
	}
	for i, p := range list {
		field := fmt.Sprintf("%s[%d]", at, i)
		if p.Utilization < 0 || p.Utilization > 100 {
			r.fail(field+".utilization", "must be from 0 to 100 per cent")
		} else if i > 0 && p.Utilization <= list[i-1].Utilization {
			r.fail(field+".utilization", "must be more than the point before has, which is %d: points go up", list[i-1].Utilization)
		}
		if p.Score < 0 || p.Score > scoreTop {
			r.fail(field+".score", "must be from 0 to %d", scoreTop)
		}
		out = append(out, sched.ShapePoint{Utilization: int64(p.Utilization), Score: int64(p.Score)})
	}
	return out
}

func (r *reader) balanced(at string, out *sched.Profile) {
	var in balancedArgs
	if !r.decode(sched.NodeResourcesBalancedAllocation, at, &in, &in.TypeMeta) || len(in.Resources) == 0 || r.tooMany(at+".resources", len(in.Resources)) {
		return
	}
	out.Balanced = nil
	seen := map[string]bool{}
	for i, x := range in.Resources {
		field := fmt.Sprintf("%s.resources[%d]", at, i)
		if seen[x.Name] {
			r.fail(field+".name", "is named twice")
		}
		seen[x.Name] = true
		if x.Weight != 0 && x.Weight != 1 {
			r.fail(field+".weight", "must be 1: balance weighs all resources alike")
		}
		out.Balanced = append(out.Balanced, sched.Resource{Name: corev1.ResourceName(x.Name), Weight: 1})
	}
}

func (r *reader) spread(at string, out *sched.Profile) {
	in := spreadArgs{DefaultingType: "System"}
	if !r.decode(sched.PodTopologySpread, at, &in, &in.TypeMeta) || r.tooMany(at+".defaultConstraints", len(in.DefaultConstraints)) {
		return
	}
	switch in.DefaultingType {
	case "System", "":
		if len(in.DefaultConstraints) > 0 {
			r.fail(at+".defaultingType", "must be List where there are defaultConstraints")
		}
		return
	case "List":
	default:
		r.fail(at+".defaultingType", "must be System or List")
	}
	type rule struct {
		key  string
		when corev1.UnsatisfiableConstraintAction
	}
	seen := map[rule]int{}
	for i := range in.DefaultConstraints {
		c, field := &in.DefaultConstraints[i], fmt.Sprintf("%s.defaultConstraints[%d]", at, i)
		if c.MaxSkew <= 0 {
			r.fail(field+".maxSkew", "must be greater than 0")
		}
		if list := validation.IsQualifiedName(c.TopologyKey); len(list) > 0 {
			r.fail(field+".topologyKey", "must be the key of a label of nodes: %s", strings.Join(list, "; "))
		}
		if c.WhenUnsatisfiable != corev1.DoNotSchedule && c.WhenUnsatisfiable != corev1.ScheduleAnyway {
			r.fail(field+".whenUnsatisfiable", "must be %s or %s", corev1.DoNotSchedule, corev1.ScheduleAnyway)
		}
		if c.LabelSelector != nil {
			r.fail(field+".labelSelector", "must not be there: it is taken from the pod's services and sets")
		}
		k := rule{c.TopologyKey, c.WhenUnsatisfiable}
		if j, twice := seen[k]; twice {
			r.fail(field, "has the topologyKey and whenUnsatisfiable of defaultConstraints[%d]", j)
		} else {
			seen[k] = i
		}
	}
	out.Spread = sched.SpreadArgs{Defaults: in.DefaultConstraints}
}

func (r *reader) nodeAffinity(at string, out *sched.Profile) {
	var in affinityArgs
	if !r.decode(sched.NodeAffinity, at, &in, &in.TypeMeta) || in.AddedAffinity == nil {
		return
	}
	for _, e := range kinds.ValidateNodeAffinity(in.AddedAffinity) {
		r.fail(at+".addedAffinity"+strings.TrimPrefix(e.Field, "nodeAffinity"), "%s", e.ErrorBody())
	}
	out.AddedAffinity = in.AddedAffinity
}

func (r *reader) volumeBinding(at string, out *sched.Profile) {
	timeout := int64(volumes.BindTimeout / time.Second)
	in := volumeArgs{BindTimeoutSeconds: timeout}
	if !r.decode(sched.VolumeBinding, at, &in, &in.TypeMeta) {
		return
	}
	switch {
	case in.BindTimeoutSeconds < 0:
		r.fail(at+".bindTimeoutSeconds", "must not be negative")
	case in.BindTimeoutSeconds != timeout:
		r.warn(at+".bindTimeoutSeconds", "has no effect: claims are waited for %v", volumes.BindTimeout)
	}
	if len(in.Shape) > 0 {
		out.VolumeShape = r.shape(at+".shape", in.Shape)
	}
}

// preemption checks arguments that have no effect: all nodes are candidates.
func (r *reader) preemption(at string) {
	in := preemptionArgs{MinCandidateNodesPercentage: 10, MinCandidateNodesAbsolute: 100}
	if !r.decode(sched.DefaultPreemption, at, &in, &in.TypeMeta) {
		return
	}
	if in.MinCandidateNodesPercentage < 0 || in.MinCandidateNodesPercentage > 100 {
		r.fail(at+".minCandidateNodesPercentage", "must be from 0 to 100")
	}
	if in.MinCandidateNodesAbsolute < 0 {
		r.fail(at+".minCandidateNodesAbsolute", "must not be negative")
	}
	if in.MinCandidateNodesPercentage == 0 && in.MinCandidateNodesAbsolute == 0 {
		r.fail(at+".minCandidateNodesPercentage", "must not be 0 where minCandidateNodesAbsolute is 0 as well")
	}
}
