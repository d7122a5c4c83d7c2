package volumes

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// BindTimeout is how long a pod waits for its claims to be bound, before it is
// scheduled anew: VolumeBindingArgs.bindTimeoutSeconds' default. Its reason then is
// BindTimedOut.
const BindTimeout = 600 * time.Second

// BindTimedOut is kube-scheduler's word for it.
const BindTimedOut = "binding volumes: context deadline exceeded"

// reservation is what was chosen for a pod and is not all bound yet.
type reservation struct {
	node    *corev1.Node
	static  []reserved
	dynamic []reserved
}

// reserved is one claim of a reservation.
type reserved struct {
	claim   kinds.Key
	volume  string // of static
	version string // of the object that is written, before the write; empty: there is nothing to write
}

func keyOf(c *corev1.PersistentVolumeClaim) kinds.Key {
	return kinds.Key{Namespace: c.Namespace, Name: c.Name}
}

// Reserve chooses the pod's volumes on the node, assumes them, and returns the writes
// that have to be made before the pod may be bound: of volumes the claim they are for,
// of claims the node where their volume is to be made. None are needed when all
// claims are bound. refused says that the node cannot take the pod after all: things
// have changed since Filter. A write that fails calls for Unreserve.
func (a *Ask) Reserve(n *corev1.Node) (writes []api.Request, refused *Refusal) {
	if a.on&HasBinding == 0 {
		return nil, nil
	}
	v, problem := a.find(n)
	if problem != nil {
		return nil, problem
	}
	if v != 0 {
		return nil, refusedBinding[v]
	}
	if len(a.static)+len(a.dynamic) == 0 {
		return nil, nil
	}
	s := a.s
	s.changes++
	r := &reservation{node: n}
	for _, m := range a.static {
		pv, changed := bindTo(m.volume.now(), m.claim)
		kept := reserved{claim: keyOf(m.claim), volume: m.volume.name}
		if changed || m.volume.assumed != nil { // also what another pod's writes have yet to say
			kept.version = pv.ResourceVersion
			s.assumeVolume(m.volume, pv)
			writes = append(writes, api.Update(pv.DeepCopy()))
		}
		r.static = append(r.static, kept)
	}
	for _, p := range a.dynamic {
		c := s.claims[keyOf(p.claim)]
		if c.assumed == nil && p.claim.Annotations[selectedNode] == n.Name {
			r.dynamic = append(r.dynamic, reserved{claim: keyOf(p.claim)})
			continue
		}
		claim := p.claim.DeepCopy()
		setAnnotation(&claim.Annotations, selectedNode, n.Name)
		c.assumed = claim
		writes = append(writes, api.Update(claim.DeepCopy()))
		r.dynamic = append(r.dynamic, reserved{claim: keyOf(claim), version: claim.ResourceVersion})
	}
	s.reserved[kinds.KeyOf(a.pod)] = r
	return writes, nil
}

func (s *State) assumeVolume(v *volume, pv *corev1.PersistentVolume) {
	s.unfile(v)
	v.assumed = pv
	s.file(v)
}

// bindTo is a copy of a volume that is bound to a claim, and whether it differs.
func bindTo(pv *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) (out *corev1.PersistentVolume, changed bool) {
	out = pv.DeepCopy()
	if !isFor(pv, c) {
		if _, has := pv.Annotations[boundByController]; !has {
			setAnnotation(&out.Annotations, boundByController, "yes")
			changed = true
		}
	}
	if ref := pv.Spec.ClaimRef; ref == nil || ref.Name != c.Name || ref.Namespace != c.Namespace || ref.UID != c.UID {
		out.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1",
			Namespace: c.Namespace, Name: c.Name, UID: c.UID, ResourceVersion: c.ResourceVersion}
		changed = true
	}
	return out, changed
}

func setAnnotation(m *map[string]string, key, value string) {
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[key] = value
}

// Unreserve takes back what Reserve assumed for the pod, as far as events have not
// confirmed it. It does nothing for a pod without a reservation.
func (s *State) Unreserve(pod *corev1.Pod) {
	key := kinds.KeyOf(pod)
	r := s.reserved[key]
	if r == nil {
		return
	}
	s.changes++
	delete(s.reserved, key)
	for _, x := range r.static {
		if v := s.volumes[x.volume]; v != nil && x.version != "" && v.assumed != nil && v.assumed.ResourceVersion == x.version {
			s.assumeVolume(v, nil)
		}
	}
	for _, x := range r.dynamic {
		if c := s.claims[x.claim]; c != nil && x.version != "" && c.assumed != nil && c.assumed.ResourceVersion == x.version {
			c.assumed = nil
		}
	}
}

// Bound says whether all claims that Reserve chose volumes for are bound, so that the
// pod may be. failed is why they will not be: the pod has to be unreserved and
// scheduled anew.
func (s *State) Bound(pod *corev1.Pod) (ok bool, failed string) {
	key := kinds.KeyOf(pod)
	r := s.reserved[key]
	if r == nil {
		return true, ""
	}
	for _, x := range r.static {
		if ok, failed = s.staticBound(r.node, x); !ok {
			return false, failed
		}
	}
	for _, x := range r.dynamic {
		if ok, failed = s.dynamicBound(r.node, x); !ok {
			return false, failed
		}
	}
	delete(s.reserved, key)
	return true, ""
}

// failure is a reason in kube-scheduler's words.
func failure(format string, args ...any) string {
	return "binding volumes: " + fmt.Sprintf(format, args...)
}

func (s *State) staticBound(n *corev1.Node, x reserved) (ok bool, failed string) {
	v, c := s.volumes[x.volume], s.claims[x.claim]
	switch {
	case v == nil || v.obj == nil:
		return false, failure("failed to check binding: persistentvolumes %q not found", x.volume)
	case c == nil || c.obj == nil:
		return false, failure("failed to check binding: persistentvolumeclaims %q not found", x.claim)
	case x.version != "" && v.obj.ResourceVersion == x.version:
		return false, "" // the write is not seen yet
	}
	if failed = s.misplaced(v, n, true); failed != "" {
		return false, failed
	}
	if ref := v.obj.Spec.ClaimRef; ref == nil || ref.UID == "" {
		return false, failure("ClaimRef got reset for pv %q", x.volume)
	}
	return fullyBound(c.obj), ""
}

func (s *State) dynamicBound(n *corev1.Node, x reserved) (ok bool, failed string) {
	c := s.claims[x.claim]
	switch {
	case c == nil || c.obj == nil:
		return false, failure("failed to check provisioning pvc: persistentvolumeclaims %q not found", x.claim)
	case x.version != "" && c.obj.ResourceVersion == x.version:
		return false, "" // the write is not seen yet
	case c.obj.Annotations == nil:
		return false, failure("selectedNode annotation reset for PVC %q", x.claim.Name)
	case c.obj.Annotations[selectedNode] != n.Name:
		return false, failure("provisioning failed for PVC %q", x.claim.Name)
	}
	if name := c.obj.Spec.VolumeName; name != "" {
		v := s.volumes[name]
		if v == nil || v.obj == nil {
			return false, "" // it may only be late
		}
		if failed = s.misplaced(v, n, false); failed != "" {
			return false, failed
		}
	}
	return fullyBound(c.obj), ""
}

// misplaced says that a volume cannot be used on the node; empty if it can.
func (s *State) misplaced(v *volume, n *corev1.Node, static bool) string {
	ok, err := s.reachable(v, v.obj, n)
	switch {
	case err != nil && static:
		return failure("failed to translate pv to csi: could not translate pv: %v", err)
	case err != nil:
		return failure("could not translate pv: %v", err)
	case !ok:
		return failure("pv %q node affinity doesn't match node %q: no matching NodeSelectorTerms", v.name, n.Name)
	}
	return ""
}
