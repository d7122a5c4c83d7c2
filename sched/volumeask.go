package sched

import (
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/sched/volumes"
)

// volumeAsk is what the volume plugins were asked for a pod; of most pods nothing.
type volumeAsk struct {
	ask     *volumes.Ask
	without []*corev1.Pod // pods that count as gone, while victims are looked for

	priority int32 // of the pod
}

// askVolumes asks the volume plugins about a pod that they have something to say of.
// refused says that no node needs to be looked at.
func (s *Snapshot) askVolumes(p *profile, pod *corev1.Pod) (a volumeAsk, refused *rejection) {
	if len(p.volumes) == 0 || !volumes.Concerns(pod) {
		return a, nil
	}
	ask, no := s.volumes.Ask(pod, volumes.SetOf(p.volumes))
	if no != nil {
		return a, &rejection{no.Plugin, no.Reasons, no.Hopeless}
	}
	return volumeAsk{ask: ask, priority: priority(pod)}, nil
}

func (v *volumeAsk) asks() bool { return v.ask != nil }

// check asks the volume filters about a node in the profile's order.
func (v *volumeAsk) check(s *Snapshot, p *profile, i int32) int32 {
	for _, name := range p.volumes {
		if why := v.checkOne(s, name, i); why != accepted {
			return why
		}
	}
	return accepted
}

func (v *volumeAsk) checkOne(s *Snapshot, plugin string, i int32) int32 {
	if v.ask == nil {
		return accepted
	}
	if no := v.ask.Filter(plugin, s.nodes[i], s.nominated.podsOn(s.nodes[i].Name, v.priority), v.without); no != nil {
		return s.reasons.number(no.Plugin, no.Hopeless, no.Reasons...)
	}
	return accepted
}

// scores says whether VolumeBinding has a score for the pod.
func (v *volumeAsk) scores(p *profile) bool {
	return v.ask != nil && p.weights[VolumeBinding] != 0 && v.ask.Scored()
}

func (v *volumeAsk) scoresOf(s *Snapshot, p *profile, feasible []int32) []int64 {
	list := make([]int64, len(feasible))
	for k, i := range feasible {
		list[k] = v.ask.Score(s.nodes[i], p.shape)
	}
	return list
}
