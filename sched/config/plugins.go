package config

import (
	"slices"
	"strings"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
)

// plugin is a plugin that a file may name.
type plugin struct {
	name   string
	points string // at which it can stand, with spaces; multiPoint always
	weight int64  // in the default profile; 0 for none
	standing
	policy bool // one of sched.Policies
}

// standing is whether a plugin is there and whether kube-scheduler has it on.
type standing uint8

const (
	on        standing = iota // in the default profile
	off                       // there, to be enabled
	absentOn                  // in kube-scheduler's default profile, but not here
	absentOff                 // in kube-scheduler, off by default, and not here
)

// upstream lists kube-scheduler's plugins with the points of 1.37; those that are on
// come in the order of its default profile.
func upstream() []plugin {
	const filters, both, volumes = "preFilter filter", "preFilter filter preScore score", "preFilter filter reserve preBind preScore score"
	return []plugin{
		{name: sched.SchedulingGates, points: "preEnqueue"},
		{name: sched.PrioritySort, points: "queueSort"},
		{name: sched.NodeName, points: filters},
		{name: sched.NodeUnschedulable, points: filters},
		{name: sched.TaintToleration, points: both, weight: 3},
		{name: sched.NodeAffinity, points: both, weight: 2},
		{name: sched.NodePorts, points: filters},
		{name: sched.NodeResourcesFit, points: both + " placementScore", weight: 1},
		{name: sched.VolumeRestrictions, points: filters},
		{name: sched.NodeVolumeLimits, points: filters},
		{name: sched.VolumeBinding, points: volumes},
		{name: sched.VolumeZone, points: filters},
		{name: sched.PodTopologySpread, points: both, weight: 2},
		{name: sched.InterPodAffinity, points: both, weight: 2},
		{name: "DynamicResources", points: "preEnqueue " + volumes + " postFilter podGroupPostFilter", weight: 2, standing: absentOn},
		{name: sched.DefaultPreemption, points: "preEnqueue postFilter"},
		{name: sched.NodeResourcesBalancedAllocation, points: "preScore score", weight: 1},
		{name: sched.ImageLocality, points: "score", weight: 1},
		{name: sched.DefaultBinder, points: "bind"},
		{name: "NodeDeclaredFeatures", points: filters, standing: absentOn},
		{name: "DeferredPodScheduling", points: filters + " permit", standing: absentOff},
		{name: sched.GangScheduling, points: "preEnqueue permit"},
		{name: "TopologyPlacementGenerator", points: "placementGenerate", standing: absentOff},
		{name: "PodGroupPodsCount", points: "placementScore", standing: absentOff},
	}
}

// known is every plugin that a file may name.
func known() []plugin {
	list := upstream()
	for _, name := range sched.PolicyNames() {
		list = append(list, plugin{name: name, points: "score", standing: off, policy: true})
	}
	return list
}

func find(name string) (plugin, bool) {
	list := known()
	i := slices.IndexFunc(list, func(p plugin) bool { return p.name == name })
	if i < 0 {
		return plugin{}, false
	}
	return list[i], true
}

// at says whether a plugin can stand at a point.
func (p *plugin) at(point string) bool {
	return point == multiPoint || slices.Contains(strings.Fields(p.points), point)
}

func (p *plugin) absent() bool { return p.standing == absentOn || p.standing == absentOff }

// namesAt lists the plugins that are here and can stand at a point.
func namesAt(point string) string {
	var names []string
	for _, p := range known() {
		if !p.absent() && p.at(point) {
			names = append(names, p.name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// unknown words that there is no plugin of a name, and what would be right.
func unknown(name, point string) string {
	if why := removed(name); why != "" {
		return why
	}
	var all []string
	for _, p := range known() {
		all = append(all, p.name)
	}
	hint := ""
	if near := kinds.Nearest(name, all); near != "" {
		hint = "did you mean " + near + "? "
	} else if today := oldName(name); today != "" {
		hint = "it is a name of old policy files; today's plugin is " + today + ". "
	}
	list := namesAt(point)
	if list == "" {
		return "is no plugin; " + hint + "none here stands at " + point
	}
	return "is no plugin; " + hint + "known at " + point + " are " + list
}

// removed tells of plugins that kube-scheduler had once.
func removed(name string) string {
	switch name {
	case "AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits":
		return "was taken out of kube-scheduler: use " + sched.NodeVolumeLimits
	case "SelectorSpread":
		return "was taken out of kube-scheduler: use " + sched.PodTopologySpread
	case "NodeResourcesLeastAllocated", "NodeResourcesMostAllocated", "RequestedToCapacityRatio":
		return "was taken out of kube-scheduler: use the scoringStrategy of " + sched.NodeResourcesFit
	case "NodePreferAvoidPods":
		return "was taken out of kube-scheduler: use taints with the effect PreferNoSchedule"
	case "NodeLabel", "ServiceAffinity":
		return "was taken out of kube-scheduler: use it by an old policy file (kind Policy), or node affinity"
	}
	return ""
}
