package sched

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/sched/volumes"
)

// profile is a Profile made ready: which filters and scores look at a node by
// itself, and which at more.
type profile struct {
	*Profile
	local   []localFilter // the filters that look at one node, in order
	named   bool          // NodeAffinity is a filter, so affinity may name the nodes that are looked at
	mixed   bool          // a filter that looks at more comes before one of them
	volumes []string      // the volume filters, in order
	spreads bool          // PodTopologySpread is a filter or a score
	affine  bool          // InterPodAffinity is
	spreadFilter, affineFilter,
	spreadFirst bool // PodTopologySpread comes before InterPodAffinity
	shares    bool // CheckServiceAffinity is a filter
	weights   map[string]int64
	scores    []localScore    // the scores of one node whose sum is kept
	scoreTop  int64           // what they can come to
	room      map[string]bool // filters of policies: see Policy.Room
	order     []string        // all filters, those of policies at the end
	shape     []volumes.Point
	added     *nodeSelector
	addedSoft []softTerm
	policies  []boundPolicy
	extenders []Extender
	asker     Asker
}

func (p *profile) addScore(f localScore) {
	p.scores = append(p.scores, f)
	p.scoreTop += f.weight * scoreMax
}

// filters says whether a plugin is among the filters.
func (p *profile) filters(plugin string) bool { return slices.Contains(p.Filters, plugin) }

// localNamed is the local filter of a name.
func (p *profile) localNamed(name string) localFilter {
	for _, f := range p.local {
		if f.plugin == name {
			return f
		}
	}
	panic("sched: no filter " + name)
}

// localFilter is a filter that looks at a node by itself.
type localFilter struct {
	plugin string
	check  func(s *Snapshot, p *profile, i int32, sh *shape) (why int32)
}

// localScore is a score of a node by itself, 0 to 100, and its weight.
type localScore struct {
	plugin string
	weight int64
	score  func(s *Snapshot, p *profile, i int32, sh *shape) int64
	// skips says that the plugin has nothing to say of the pod.
	skips func(p *profile, s *Snapshot, sh *shape) bool
}

// ready makes a profile ready. What a profile may hold, package config checks.
func ready(from *Profile) *profile {
	p := &profile{Profile: from, weights: map[string]int64{}, room: map[string]bool{}, order: slices.Clone(from.Filters)}
	p.named = p.filters(NodeAffinity)
	for _, name := range from.Filters {
		switch name {
		case PodTopologySpread:
			p.spreads, p.spreadFilter = true, true
			p.spreadFirst = !p.affineFilter
		case InterPodAffinity:
			p.affine, p.affineFilter = true, true
		case VolumeRestrictions, NodeVolumeLimits, VolumeBinding, VolumeZone:
			p.volumes = append(p.volumes, name)
		case CheckServiceAffinity:
			p.shares = true
		default:
			f := localFilterNamed(name)
			p.mixed = p.mixed || p.spreadFilter || p.affineFilter || p.shares || len(p.volumes) > 0
			p.local = append(p.local, f)
		}
	}
	if len(p.volumes) > 0 && (p.spreadFilter || p.affineFilter) && !from.volumesFirst() {
		p.mixed = true
	}
	for _, x := range from.Scores {
		p.weights[x.Plugin] = x.Weight
		switch x.Plugin {
		case PodTopologySpread:
			p.spreads = true
		case InterPodAffinity:
			p.affine = true
		case TaintToleration, NodeAffinity, ImageLocality, VolumeBinding:
		case NodeResourcesFit:
			p.addScore(localScore{plugin: x.Plugin, weight: x.Weight, score: scoreFit})
		case NodeResourcesBalancedAllocation:
			p.addScore(localScore{plugin: x.Plugin, weight: x.Weight, score: scoreBalanced, skips: bestEffort})
		case CalculateNodeLabelPriority:
			p.addScore(localScore{plugin: x.Plugin, weight: x.Weight, score: scoreLabels})
		default:
			p.addPolicy(x.Plugin, x.Weight)
		}
	}
	for _, point := range from.VolumeShape {
		p.shape = append(p.shape, volumes.Point(point))
	}
	if len(p.shape) == 0 {
		p.shape = volumes.DefaultShape()
	}
	if a := from.AddedAffinity; a != nil {
		p.added, p.addedSoft = compileAffinity(&corev1.PodSpec{Affinity: &corev1.Affinity{NodeAffinity: a}})
	}
	return p
}

// volumesFirst says whether the volume filters come before those that look at other
// pods.
func (p *Profile) volumesFirst() bool {
	others := false
	for _, name := range p.Filters {
		switch name {
		case PodTopologySpread, InterPodAffinity:
			others = true
		case VolumeRestrictions, NodeVolumeLimits, VolumeBinding, VolumeZone:
			if others {
				return false
			}
		}
	}
	return true
}
