package volumes

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// Ask is one pod's volumes, made ready to be judged node by node. It holds for as long
// as State.Changes stays the same.
type Ask struct {
	s    *State
	pod  *corev1.Pod
	on   Set // plugins that are asked
	skip Set // of these, the ones that have nothing to say

	disks     bool     // VolumeRestrictions: it has inline disks,
	oncePod   []string // claims that one pod alone may use,
	conflicts int      // and so many of these are in use

	wanted [2]wanted // NodeVolumeLimits: on nodes without a CSINode, and with

	bound  []*volume // VolumeBinding: volumes of bound claims, nil for those that are not there,
	pinned []want    // claims that wait for a volume on a node chosen before,
	search []want    // and claims that have no volume or node yet, by size

	zones []zoneRule // VolumeZone

	// What find found for a node.
	static  []match
	dynamic []provision
	sums    []sums // what Score adds up
}

// want is a claim that waits for its first consumer.
type want struct {
	claim *corev1.PersistentVolumeClaim
	class *class
	bytes int64  // asked for
	node  string // chosen before; of pinned
}

// match is a claim and the volume it is to have.
type match struct {
	claim  *corev1.PersistentVolumeClaim
	volume *volume
}

// provision is a claim that a volume is to be made for.
type provision struct {
	claim *corev1.PersistentVolumeClaim
	space *storagev1.CSIStorageCapacity // where; nil where capacity is not told
}

// Ask prepares a pod's volumes for those of the plugins that are on. refused says that
// no node needs to be looked at, by the first of them that says so. An error in it
// (Broken) ends the attempt.
func (s *State) Ask(pod *corev1.Pod, on Set) (ask *Ask, refused *Refusal) {
	a := &Ask{s: s, pod: pod, on: on}
	if on&HasRestrictions != 0 {
		if refused = a.askRestrictions(); refused != nil {
			return nil, refused
		}
	}
	if on&HasLimits != 0 {
		a.wanted = [2]wanted{s.wanted(pod, false), s.wanted(pod, true)}
	}
	if on&HasBinding != 0 {
		if refused = a.askBinding(); refused != nil {
			return nil, refused
		}
	}
	if on&HasZone != 0 {
		if refused = a.askZone(); refused != nil {
			return nil, refused
		}
	}
	return a, nil
}

// Filter says why a node cannot take the pod by one plugin, nil if it can. with are
// pods that count as on the node though they are not placed there (nominated ones),
// without are pods that count as gone from it (victims).
func (a *Ask) Filter(plugin string, n *corev1.Node, with, without []*corev1.Pod) *Refusal {
	switch plugin {
	case Restrictions:
		if (a.on &^ a.skip & HasRestrictions) != 0 {
			return a.restrictions(n, with, without)
		}
	case Limits:
		if a.on&HasLimits != 0 {
			return a.limits(n, with, without)
		}
	case Binding:
		if a.on&HasBinding != 0 {
			v, problem := a.find(n)
			if problem != nil {
				return problem
			}
			return refusedBinding[v]
		}
	case Zone:
		if a.on&HasZone != 0 {
			return a.zone(n)
		}
	}
	return nil
}

// askBinding is the start of VolumeBinding: the pod's claims must be there, and those
// that do not wait for a consumer must be bound.
func (a *Ask) askBinding() *Refusal {
	for i := range a.pod.Spec.Volumes {
		if problem := a.s.claimProblem(a.pod, &a.pod.Spec.Volumes[i]); problem != "" {
			return hopeless(Binding, problem)
		}
	}
	immediate := false
	for i := range a.pod.Spec.Volumes {
		name, _, ok := claimName(a.pod, &a.pod.Spec.Volumes[i])
		if !ok {
			continue
		}
		claim := a.s.claims[kinds.Key{Namespace: a.pod.Namespace, Name: name}].now()
		if fullyBound(claim) {
			v := a.s.volumes[claim.Spec.VolumeName]
			if v != nil && v.obj == nil {
				v = nil
			}
			a.bound = append(a.bound, v)
			continue
		}
		class := a.s.classes[classOfClaim(claim)]
		delayed := false
		if class != nil && class.obj != nil && class.name != "" {
			mode := class.obj.VolumeBindingMode
			if mode == nil {
				return broken(Binding, modeNotSet(class.name))
			}
			delayed = *mode == storagev1.VolumeBindingWaitForFirstConsumer
		}
		if !delayed || claim.Spec.VolumeName != "" {
			immediate = true
			continue
		}
		w := want{claim: claim, class: class, bytes: bytesOf(claim.Spec.Resources.Requests)}
		if w.node, ok = claim.Annotations[selectedNode]; ok {
			a.pinned = append(a.pinned, w)
		} else {
			a.search = append(a.search, w)
		}
	}
	if immediate {
		return hopeless(Binding, reasonImmediate)
	}
	slices.SortStableFunc(a.search, func(x, y want) int { return cmp.Compare(x.bytes, y.bytes) })
	return nil
}

// claimProblem says why a pod's volume cannot be, for now; empty if it can.
func (s *State) claimProblem(pod *corev1.Pod, v *corev1.Volume) string {
	name, ephemeral, ok := claimName(pod, v)
	if !ok {
		return ""
	}
	c := s.claims[kinds.Key{Namespace: pod.Namespace, Name: name}]
	switch {
	case (c == nil || c.obj == nil) && ephemeral:
		return fmt.Sprintf("waiting for ephemeral volume controller to create the persistentvolumeclaim %q", name)
	case c == nil || c.obj == nil:
		return notFound("persistentvolumeclaim", name)
	case c.obj.Status.Phase == corev1.ClaimLost:
		return fmt.Sprintf("persistentvolumeclaim %q bound to non-existent persistentvolume %q", name, c.obj.Spec.VolumeName)
	case c.obj.DeletionTimestamp != nil:
		return fmt.Sprintf("persistentvolumeclaim %q is being deleted", name)
	case ephemeral:
		return notItsOwn(pod, c.obj)
	}
	return ""
}

// Annotations by which scheduler, volume controller and provisioners speak.
const (
	selectedNode      = "volume.kubernetes.io/selected-node"
	bindCompleted     = "pv.kubernetes.io/bind-completed"
	boundByController = "pv.kubernetes.io/bound-by-controller"
)

// noProvisioner is what a class names whose volumes are made by hand.
const noProvisioner = "kubernetes.io/no-provisioner"

func fullyBound(c *corev1.PersistentVolumeClaim) bool {
	_, done := c.Annotations[bindCompleted]
	return done && c.Spec.VolumeName != ""
}

// notItsOwn says that an ephemeral volume's claim is somebody else's; empty if it is not.
func notItsOwn(pod *corev1.Pod, c *corev1.PersistentVolumeClaim) string {
	if metav1.IsControlledBy(c, pod) {
		return ""
	}
	return fmt.Sprintf("PVC %s/%s was not created for pod %s/%s (pod is not owner)", c.Namespace, c.Name, pod.Namespace, pod.Name)
}

func notFound(what, name string) string { return fmt.Sprintf("%s %q not found", what, name) }

func modeNotSet(class string) string {
	return fmt.Sprintf("VolumeBindingMode not set for StorageClass %q", class)
}
