package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
)

// old is an old predicate or priority and the plugins that stand for it today.
type old struct {
	name, plugins string // with spaces; "" for what needs none
	note          string // a warning, where it is not quite the same
}

// predicates lists the old predicates, in the order in which they were asked.
func predicates() []old {
	const conditions = "conditions of nodes are taints today: the predicate stands for TaintToleration"
	const limits = "limits of volumes are those that CSI drivers report: the predicate stands for NodeVolumeLimits"
	return []old{
		{name: "CheckNodeUnschedulable", plugins: sched.NodeUnschedulable},
		{"CheckNodeCondition", sched.NodeUnschedulable + " " + sched.TaintToleration, conditions},
		{name: "GeneralPredicates", plugins: strings.Join([]string{sched.NodeName, sched.NodePorts, sched.NodeAffinity, sched.NodeResourcesFit}, " ")},
		{name: "HostName", plugins: sched.NodeName},
		{name: "PodFitsHost", plugins: sched.NodeName},
		{name: "PodFitsHostPorts", plugins: sched.NodePorts},
		{name: "PodFitsPorts", plugins: sched.NodePorts},
		{name: "MatchNodeSelector", plugins: sched.NodeAffinity},
		{name: "PodSelectorMatches", plugins: sched.NodeAffinity},
		{name: "PodFitsResources", plugins: sched.NodeResourcesFit},
		{name: "NoDiskConflict", plugins: sched.VolumeRestrictions},
		{name: "PodToleratesNodeTaints", plugins: sched.TaintToleration},
		{"PodToleratesNodeNoExecuteTaints", sched.TaintToleration, "the predicate stands for TaintToleration, which looks at NoSchedule taints too"},
		{name: sched.CheckNodeLabelPresence, plugins: sched.CheckNodeLabelPresence},
		{name: sched.CheckServiceAffinity, plugins: sched.CheckServiceAffinity},
		{"MaxEBSVolumeCount", sched.NodeVolumeLimits, limits},
		{"MaxGCEPDVolumeCount", sched.NodeVolumeLimits, limits},
		{"MaxAzureDiskVolumeCount", sched.NodeVolumeLimits, limits},
		{"MaxCinderVolumeCount", sched.NodeVolumeLimits, limits},
		{name: "MaxCSIVolumeCountPred", plugins: sched.NodeVolumeLimits},
		{name: "CheckVolumeBinding", plugins: sched.VolumeBinding},
		{name: "NoVolumeZoneConflict", plugins: sched.VolumeZone},
		{"CheckNodeMemoryPressure", sched.TaintToleration, conditions},
		{"CheckNodeDiskPressure", sched.TaintToleration, conditions},
		{"CheckNodePIDPressure", sched.TaintToleration, conditions},
		{name: "EvenPodsSpread", plugins: sched.PodTopologySpread},
		{name: "MatchInterPodAffinity", plugins: sched.InterPodAffinity},
	}
}

// priorities lists the old priorities.
func priorities() []old {
	const spreads = "the priority stands for PodTopologySpread with its system defaults"
	return []old{
		{name: "LeastRequestedPriority", plugins: sched.NodeResourcesFit},
		{name: "MostRequestedPriority", plugins: sched.NodeResourcesFit},
		{name: "RequestedToCapacityRatioPriority", plugins: sched.NodeResourcesFit},
		{name: "BalancedResourceAllocation", plugins: sched.NodeResourcesBalancedAllocation},
		{"SelectorSpreadPriority", sched.PodTopologySpread, spreads},
		{"ServiceSpreadingPriority", sched.PodTopologySpread, spreads},
		{name: "EvenPodsSpreadPriority", plugins: sched.PodTopologySpread},
		{name: "InterPodAffinityPriority", plugins: sched.InterPodAffinity},
		{name: "NodeAffinityPriority", plugins: sched.NodeAffinity},
		{name: "TaintTolerationPriority", plugins: sched.TaintToleration},
		{name: "ImageLocalityPriority", plugins: sched.ImageLocality},
		{name: sched.CalculateNodeLabelPriority, plugins: sched.CalculateNodeLabelPriority},
		{name: "EqualPriority"},
		{"NodePreferAvoidPodsPriority", "", "has no effect: kube-scheduler has dropped the annotation that it reads; use taints with the effect PreferNoSchedule"},
	}
}

// oldName is the plugins that stand for an old predicate or priority, "" for none.
func oldName(name string) string {
	for _, o := range slices.Concat(predicates(), priorities()) {
		if o.name == name {
			return strings.ReplaceAll(o.plugins, " ", " and ")
		}
	}
	return ""
}

// policy reads an old policy file, which is about the default scheduler.
func (r *reader) policy() {
	in := filePolicy{HardPodAffinitySymmetricWeight: 1}
	if err := kinds.DecodeStrict(r.file, r.root, "", &in); err != nil {
		r.include(err)
		return
	}
	r.cfg.InitialBackoff, r.cfg.MaxBackoff = sched.DefaultConfig().InitialBackoff, sched.DefaultConfig().MaxBackoff
	if w := in.HardPodAffinitySymmetricWeight; w < 0 || w > weightTop {
		r.fail("hardPodAffinitySymmetricWeight", "must be from 0 to %d", weightTop)
	}
	if in.AlwaysCheckAllPredicates {
		r.warn("alwaysCheckAllPredicates", "has no effect: the first predicate that refuses a node is told; seatrial why shows every node")
	}
	p := sched.DefaultProfile()
	p.Affinity.HardWeight = int64(in.HardPodAffinitySymmetricWeight)
	if in.Predicates != nil && !r.tooMany("predicates", len(in.Predicates)) {
		r.predicates(in.Predicates, &p)
	}
	p.Spread = sched.SpreadArgs{}
	list := in.Priorities
	if list == nil {
		for _, name := range []string{"LeastRequestedPriority", "BalancedResourceAllocation", "SelectorSpreadPriority", "InterPodAffinityPriority",
			"NodeAffinityPriority", "TaintTolerationPriority", "ImageLocalityPriority"} {
			list = append(list, filePriority{Name: name, Weight: 1})
		}
		list = append(list, filePriority{Name: "EvenPodsSpreadPriority", Weight: 2})
	}
	if !r.tooMany("priorities", len(list)) {
		r.priorities(list, &p, in.Priorities != nil)
	}
	extenders := make([]fileExtender, len(in.Extenders))
	for i, x := range in.Extenders {
		extenders[i] = fileExtender{x.URLPrefix, x.FilterVerb, x.PreemptVerb, x.PrioritizeVerb, x.Weight, x.BindVerb, x.EnableHTTPS, x.TLSConfig,
			metav1.Duration{Duration: time.Duration(x.HTTPTimeout)}, x.NodeCacheCapable, x.ManagedResources, x.Ignorable}
	}
	r.extenders(extenders)
	p.Fit.Ignored = ignoredResources(r.cfg.Extenders)
	r.cfg.Profiles = []sched.Profile{p}
}

// predicates takes a file's predicates for the filters. Two were always on.
func (r *reader) predicates(list []filePredicate, p *sched.Profile) {
	wanted := map[string]bool{sched.NodeUnschedulable: true, sched.TaintToleration: true}
	for i := range list {
		f, at := &list[i], fmt.Sprintf("predicates[%d]", i)
		if a := f.Argument; a != nil && (a.ServiceAffinity != nil || a.LabelsPresence != nil) {
			r.labelPredicate(at, a, p, wanted)
			continue
		}
		o, ok := r.oldNamed(at, f.Name, predicates(), "predicate")
		switch {
		case !ok:
		case f.Name == sched.CheckNodeLabelPresence:
			r.fail(at+".argument", "is required for %s: labelsPresence with labels and presence", f.Name)
		case f.Name == sched.CheckServiceAffinity:
			r.fail(at+".argument", "is required for %s: serviceAffinity with labels", f.Name)
		case f.Argument != nil:
			r.fail(at+".argument", "must not be there: %s takes none", f.Name)
		}
		for _, name := range strings.Fields(o.plugins) {
			wanted[name] = true
		}
	}
	p.Filters = nil
	for _, o := range predicates() {
		for _, name := range strings.Fields(o.plugins) {
			if wanted[name] && !slices.Contains(p.Filters, name) {
				p.Filters = append(p.Filters, name)
			}
		}
	}
}

// oldNamed finds an old name.
func (r *reader) oldNamed(at, name string, list []old, what string) (old, bool) {
	var names []string
	for _, o := range list {
		names = append(names, o.name)
		if o.name != name {
			continue
		}
		if o.note != "" {
			r.warn(at+".name", "%s: %s", name, o.note)
		}
		return o, true
	}
	hint := ""
	if near := kinds.Nearest(name, names); near != "" {
		hint = "did you mean " + near + "? "
	}
	slices.Sort(names)
	r.fail(at+".name", "is no %s; %sknown are %s", what, hint, strings.Join(names, ", "))
	return old{}, false
}

// labelPredicate reads a predicate that is what its argument makes it, whatever its
// name.
func (r *reader) labelPredicate(at string, a *predicateArgument, p *sched.Profile, wanted map[string]bool) {
	if a.ServiceAffinity != nil && a.LabelsPresence != nil {
		r.fail(at+".argument", "must have one of serviceAffinity and labelsPresence, not both")
		return
	}
	field, labels := at+".argument.serviceAffinity.labels", []string(nil)
	into := &p.Labels.ServiceAffinity
	if a.ServiceAffinity != nil {
		labels, wanted[sched.CheckServiceAffinity] = a.ServiceAffinity.Labels, true
	} else {
		field, labels, wanted[sched.CheckNodeLabelPresence] = at+".argument.labelsPresence.labels", a.LabelsPresence.Labels, true
		into = &p.Labels.Absent
		if a.LabelsPresence.Presence {
			into = &p.Labels.Present
		}
	}
	if len(labels) == 0 {
		r.fail(field, "is required: keys of labels of nodes")
	}
	for _, l := range labels {
		if slices.Contains(p.Labels.Present, l) && slices.Contains(p.Labels.Absent, l) {
			r.fail(field, "%s is to be there and to be absent: no node would do", l)
		}
		if !slices.Contains(*into, l) {
			*into = append(*into, l)
		}
	}
	for _, l := range p.Labels.Present {
		if slices.Contains(p.Labels.Absent, l) {
			r.fail(field, "%s is to be there and to be absent: no node would do", l)
		}
	}
}

// priorities takes a file's priorities for the scores. given is false for those that
// stand for a list that the file has not.
func (r *reader) priorities(list []filePriority, p *sched.Profile, given bool) {
	p.Scores = nil
	fit := ""
	for i := range list {
		f, at := &list[i], fmt.Sprintf("priorities[%d]", i)
		if f.Weight <= 0 || f.Weight > weightMax {
			r.fail(at+".weight", "must be from 1 to %d", weightMax)
			continue
		}
		if a := f.Argument; a != nil {
			if a.RequestedToCapacityRatioArguments == nil {
				r.labelPriority(at, f, p)
				continue
			}
			f.Name = "RequestedToCapacityRatioPriority"
		}
		before := len(r.warnings)
		o, ok := r.oldNamed(at, f.Name, priorities(), "priority")
		if !given {
			r.warnings = r.warnings[:before]
		}
		if !ok || o.plugins == "" {
			continue
		}
		switch o.name {
		case "LeastRequestedPriority", "MostRequestedPriority", "RequestedToCapacityRatioPriority":
			if fit != "" {
				r.fail(at+".name", "cannot be together with %s: NodeResourcesFit, which stands for both, has one strategy", fit)
				continue
			}
			fit = o.name
			r.fitPriority(at, f, p)
		case "SelectorSpreadPriority", "ServiceSpreadingPriority":
			p.Spread = sched.DefaultProfile().Spread
		case sched.CalculateNodeLabelPriority:
			r.fail(at+".argument", "is required for %s: labelPreference with label and presence", f.Name)
		}
		addScore(p, o.plugins, f.Weight)
	}
	var sum int64
	for _, w := range p.Scores {
		sum += w.Weight
	}
	if sum > weightsMax {
		r.fail("priorities", "the weights come to %d, more than %d", sum, weightsMax)
	}
}

// addScore adds a score, or weight to it where another old name stands for it too.
func addScore(p *sched.Profile, plugin string, weight int64) {
	for i := range p.Scores {
		if p.Scores[i].Plugin == plugin {
			p.Scores[i].Weight += weight
			return
		}
	}
	p.Scores = append(p.Scores, sched.Weighted{Plugin: plugin, Weight: weight})
}

func (r *reader) fitPriority(at string, f *filePriority, p *sched.Profile) {
	switch f.Name {
	case "LeastRequestedPriority":
		p.Fit.Strategy = sched.LeastAllocated
		return
	case "MostRequestedPriority":
		p.Fit.Strategy = sched.MostAllocated
		return
	}
	if f.Argument == nil {
		r.fail(at+".argument", "is required for %s: requestedToCapacityRatioArguments with a shape", f.Name)
		return
	}
	a := f.Argument.RequestedToCapacityRatioArguments
	r.strategy(at+".argument.requestedToCapacityRatioArguments",
		&strategy{Type: sched.RequestedToCapacityRatio, Resources: a.Resources, RequestedToCapacityRatio: &ratioParam{a.Shape}}, p)
}

// labelPriority reads a priority that is what its argument makes it.
func (r *reader) labelPriority(at string, f *filePriority, p *sched.Profile) {
	switch a := f.Argument; {
	case a.LabelPreference != nil && a.ServiceAntiAffinity != nil:
		r.fail(at+".argument", "must have one of labelPreference and serviceAntiAffinity, not both")
	case a.LabelPreference != nil:
		if a.LabelPreference.Label == "" {
			r.fail(at+".argument.labelPreference.label", "is required: the key of a label of nodes")
		}
		p.Labels.Preferred = append(p.Labels.Preferred, sched.PreferredLabel{Label: a.LabelPreference.Label, Presence: a.LabelPreference.Presence, Weight: f.Weight})
		addScore(p, sched.CalculateNodeLabelPriority, f.Weight)
	case a.ServiceAntiAffinity != nil:
		if a.ServiceAntiAffinity.Label == "" {
			r.fail(at+".argument.serviceAntiAffinity.label", "is required: the key of a label of nodes")
		}
		r.warn(at, "serviceAntiAffinity stands for PodTopologySpread with a default constraint for the label")
		p.Spread.System = false
		p.Spread.Defaults = append(slices.Clone(p.Spread.Defaults), corev1.TopologySpreadConstraint{MaxSkew: 1,
			TopologyKey: a.ServiceAntiAffinity.Label, WhenUnsatisfiable: corev1.ScheduleAnyway})
		addScore(p, sched.PodTopologySpread, f.Weight)
	default:
		r.fail(at+".argument", "must have labelPreference, serviceAntiAffinity or requestedToCapacityRatioArguments")
	}
}
