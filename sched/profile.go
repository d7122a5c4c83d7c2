package sched

import (
	corev1 "k8s.io/api/core/v1"
)

// profile is a Profile made ready: which filters and scores look at a node by
// itself, and which at more.
type profile struct {
	*Profile
	local   []localFilter // the filters that look at one node, in order
	mixed   bool          // a filter that looks at more comes before one of them
	volumes []string      // the volume filters, in order
	spreads bool          // PodTopologySpread is a filter or a score
	affine  bool          // InterPodAffinity is
	spreadFilter, affineFilter,
	spreadFirst bool // PodTopologySpread comes before InterPodAffinity
	weights   map[string]int64
	scores    []localScore // the scores of one node whose sum is kept
	scoreTop  int64        // what they can come to
	added     *nodeSelector
	addedSoft []softTerm
	policies  []boundPolicy
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
	p := &profile{Profile: from, weights: map[string]int64{}}
	for _, name := range from.Filters {
		switch name {
		case PodTopologySpread:
			p.spreads, p.spreadFilter = true, true
			p.spreadFirst = !p.affineFilter
		case InterPodAffinity:
			p.affine, p.affineFilter = true, true
		case VolumeRestrictions, NodeVolumeLimits, VolumeBinding, VolumeZone:
			p.volumes = append(p.volumes, name)
		default:
			f := localFilterNamed(name)
			p.mixed = p.mixed || p.spreadFilter || p.affineFilter || len(p.volumes) > 0
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
		default:
			if f, ok := localScoreNamed(x.Plugin); ok {
				f.weight = x.Weight
				p.scores = append(p.scores, f)
				p.scoreTop += x.Weight * scoreMax
			}
		}
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
