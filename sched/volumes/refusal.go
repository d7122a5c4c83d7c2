package volumes

import corev1 "k8s.io/api/core/v1"

// Names of the plugins, kube-scheduler's own.
const (
	Restrictions = "VolumeRestrictions"
	Limits       = "NodeVolumeLimits"
	Binding      = "VolumeBinding"
	Zone         = "VolumeZone"
)

// Set is a set of the four plugins: a profile may leave some out.
type Set uint8

// The members of a Set, in the order in which the plugins are asked.
const (
	HasRestrictions Set = 1 << iota
	HasLimits
	HasBinding
	HasZone

	All = HasRestrictions | HasLimits | HasBinding | HasZone
)

// SetOf is the set of those of the names that are volume plugins.
func SetOf(names []string) Set {
	var s Set
	for _, name := range names {
		switch name {
		case Restrictions:
			s |= HasRestrictions
		case Limits:
			s |= HasLimits
		case Binding:
			s |= HasBinding
		case Zone:
			s |= HasZone
		}
	}
	return s
}

// Refusal is why a plugin does not let a pod onto a node, or onto any. The caller must
// not change it: refusals are shared.
type Refusal struct {
	Plugin  string
	Reasons []string
	// Hopeless says that no preemption helps (UnschedulableAndUnresolvable).
	Hopeless bool
	// Broken says that this is no verdict but an error: kube-scheduler gives the whole
	// attempt up, whatever other nodes would say.
	Broken bool
}

// Reasons, kube-scheduler's words.
const (
	reasonDisk       = "node(s) had no available disk"
	reasonOncePod    = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
	reasonLimit      = "node(s) exceed max volume count"
	reasonAffinity   = "node(s) didn't match PersistentVolume's node affinity"
	reasonNoVolume   = "node(s) didn't find available persistent volumes to bind"
	reasonNoSpace    = "node(s) did not have enough free storage"
	reasonLostVolume = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
	reasonZone       = "node(s) had no available volume zone"
	reasonImmediate  = "pod has unbound immediate PersistentVolumeClaims"
)

// The refusals that need no telling apart.
var (
	refusedDisk    = &Refusal{Plugin: Restrictions, Reasons: []string{reasonDisk}}         //det:ok refusals are never written to
	refusedOncePod = &Refusal{Plugin: Restrictions, Reasons: []string{reasonOncePod}}      //det:ok refusals are never written to
	refusedLimit   = &Refusal{Plugin: Limits, Reasons: []string{reasonLimit}}              //det:ok refusals are never written to
	refusedZone    = &Refusal{Plugin: Zone, Reasons: []string{reasonZone}, Hopeless: true} //det:ok refusals are never written to
	refusedBinding = bindingRefusals()
)

// verdict is what VolumeBinding finds wrong with a node.
type verdict uint8

const (
	wrongNode verdict = 1 << iota
	noVolume
	noSpace
	lostVolume
	verdicts
)

// bindingRefusals are the refusals of VolumeBinding by verdict; none for 0.
func bindingRefusals() [verdicts]*Refusal {
	var all [verdicts]*Refusal
	reasons := [...]string{reasonAffinity, reasonNoVolume, reasonNoSpace, reasonLostVolume}
	for v := verdict(1); v < verdicts; v++ {
		r := &Refusal{Plugin: Binding, Hopeless: true}
		for i, reason := range reasons {
			if v&(1<<i) != 0 {
				r.Reasons = append(r.Reasons, reason)
			}
		}
		all[v] = r
	}
	return all
}

func hopeless(plugin, reason string) *Refusal {
	return &Refusal{Plugin: plugin, Reasons: []string{reason}, Hopeless: true}
}

func broken(plugin, reason string) *Refusal {
	return &Refusal{Plugin: plugin, Reasons: []string{reason}, Broken: true}
}

// Concerns says whether any of the plugins has something to say of the pod.
func Concerns(pod *corev1.Pod) bool {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.PersistentVolumeClaim != nil || v.Ephemeral != nil || isDisk(v) || isInTree(v) {
			return true
		}
	}
	return false
}

// claimName is the claim of a pod's volume; ephemeral ones bear the pod's name and
// theirs. ok is false for other volumes.
func claimName(pod *corev1.Pod, v *corev1.Volume) (name string, ephemeral, ok bool) {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName, false, true
	case v.Ephemeral != nil:
		return pod.Name + "-" + v.Name, true, true
	}
	return "", false, false
}
