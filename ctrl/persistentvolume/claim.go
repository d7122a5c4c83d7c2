package persistentvolume

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
)

// resync is after how long a claim that waits for somebody's volume, or a volume that
// waits for its claim, is looked at again (kube-controller-manager's
// pvclaimbinder-sync-period).
const resync = 15 * time.Second

// Controller is the volume binder.
type Controller struct{}

// New returns it.
func New() *Controller { return &Controller{} }

const component = "persistentvolume-controller"

// Name is "persistentvolume-controller", as in events.
func (*Controller) Name() string { return component }

// Kinds are claims and volumes.
func (*Controller) Kinds() []kinds.Kind {
	return []kinds.Kind{kinds.PersistentVolumeClaim, kinds.PersistentVolume}
}

// Keys asks for the object, and for what it is or was bound to.
func (*Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	if e.Type != store.Deleted {
		add(e.Ref)
	}
	if _, ok := e.Object.(*corev1.PersistentVolumeClaim); ok {
		for pv := range v.VolumesFor(e.Ref.Key) {
			add(kinds.RefOf(pv))
		}
		return
	}
	for _, o := range []kinds.Object{e.Old, e.Object} {
		if pv, ok := o.(*corev1.PersistentVolume); ok && pv.Spec.ClaimRef != nil {
			ref := pv.Spec.ClaimRef
			add(kinds.Ref{Kind: kinds.PersistentVolumeClaim, Key: kinds.Key{Namespace: ref.Namespace, Name: ref.Name}})
		}
	}
}

// Reconcile binds a claim, or keeps the phase of a volume.
func (*Controller) Reconcile(_ time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	if key.Kind == kinds.PersistentVolume {
		if pv := view.Get[*corev1.PersistentVolume](v, key.Kind, key.Key); pv != nil {
			reconcileVolume(&p, v, pv)
		}
		return p
	}
	c := view.Get[*corev1.PersistentVolumeClaim](v, key.Kind, key.Key)
	switch {
	case c == nil:
	case annotated(c, bindCompleted):
		keepBound(&p, v, c)
	case c.Spec.VolumeName != "":
		bindNamed(&p, v, c)
	default:
		bindAny(&p, v, c)
	}
	return p
}

func volumeNamed(v *view.View, name string) *corev1.PersistentVolume {
	return view.Get[*corev1.PersistentVolume](v, kinds.PersistentVolume, kinds.Key{Name: name})
}

// bindAny finds a volume for a claim that names none, or has one made.
func bindAny(p *ctrl.Plan, v *view.View, c *corev1.PersistentVolumeClaim) {
	wait, err := waits(v, c)
	if err != nil {
		p.Failed = err
		return
	}
	if pv := bestFor(v, c, wait); pv != nil {
		bind(p, pv, c)
		return
	}
	class, asks := classOf(c)
	if !asks {
		if d := defaultClass(v); d != nil {
			now := kinds.Clone(c)
			now.Spec.StorageClassName = &d.Name
			p.Write(api.Update(now))
			return
		}
	}
	switch {
	case wait && !annotated(c, selectedNode):
		tellWaiting(p, v, c)
	case class != "":
		provision(p, v, c, class)
		return
	default:
		p.Note(api.Normal(c, component, "FailedBinding", "no persistent volumes available for this claim and no storage class is set"))
		p.LookAgain(resync)
	}
	setClaimPhase(p, c, corev1.ClaimPending, nil, false)
}

// tellWaiting says what an unbound claim is waiting for: a pod, or its scheduling.
func tellWaiting(p *ctrl.Plan, v *view.View, c *corev1.PersistentVolumeClaim) {
	var names []string
	for pod := range v.PodsOn("") {
		if pod.Namespace == c.Namespace && !view.Finished(pod) && uses(pod, c.Name) {
			names = append(names, pod.Name)
		}
	}
	switch len(names) {
	case 0:
		p.Note(api.Normal(c, component, "WaitForFirstConsumer", "waiting for first consumer to be created before binding"))
	case 1:
		p.Note(api.Normal(c, component, "WaitForPodScheduled", "waiting for pod "+names[0]+" to be scheduled"))
	default:
		p.Note(api.Normal(c, component, "WaitForPodScheduled", "waiting for pods "+strings.Join(names, ",")+" to be scheduled"))
	}
}

func uses(pod *corev1.Pod, claim string) bool {
	for i := range pod.Spec.Volumes {
		vol := &pod.Spec.Volumes[i]
		if vol.PersistentVolumeClaim != nil && vol.PersistentVolumeClaim.ClaimName == claim ||
			vol.Ephemeral != nil && pod.Name+"-"+vol.Name == claim {
			return true
		}
	}
	return false
}

// provision marks a claim for its class' provisioner, who takes it from there.
func provision(p *ctrl.Plan, v *view.View, c *corev1.PersistentVolumeClaim, name string) {
	p.LookAgain(resync)
	class := view.Get[*storagev1.StorageClass](v, kinds.StorageClass, kinds.Key{Name: name})
	if class == nil {
		p.Note(api.Warning(c, component, "ProvisioningFailed", fmt.Sprintf("storageclass.storage.k8s.io %q not found", name)))
		return
	}
	provisioner := class.Provisioner
	if driver := kinds.CSIDriverOf(provisioner); driver != "" {
		provisioner = driver
	} else if strings.HasPrefix(provisioner, inTreePrefix) {
		p.Note(api.Warning(c, component, "ProvisioningFailed", "no volume plugin matched name: "+provisioner))
		return
	}
	waiting := api.Normal(c, component, "ExternalProvisioning", fmt.Sprintf("Waiting for a volume to be created either by the external provisioner '%s' "+
		"or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.", provisioner))
	if c.Annotations[provisionerNow] == provisioner {
		p.Note(waiting)
		return
	}
	now := kinds.Clone(c)
	annotate(now, provisionerBeta, provisioner)
	annotate(now, provisionerNow, provisioner)
	p.WriteNoted(api.Update(now), waiting)
}

// bindNamed binds a claim to the volume that it names.
func bindNamed(p *ctrl.Plan, v *view.View, c *corev1.PersistentVolumeClaim) {
	pv := volumeNamed(v, c.Spec.VolumeName)
	if pv != nil && (isFor(pv, c) || pv.Spec.ClaimRef == nil && mismatch(pv, c) == "") {
		bind(p, pv, c)
		return
	}
	switch {
	case pv == nil: // it may come
	case pv.Spec.ClaimRef == nil:
		p.Note(api.Warning(c, component, "VolumeMismatch", fmt.Sprintf("Cannot bind to requested volume %q: %s", pv.Name, mismatch(pv, c))))
	default:
		p.Note(api.Warning(c, component, "FailedBinding", fmt.Sprintf("volume %q already bound to a different claim.", pv.Name)))
	}
	setClaimPhase(p, c, corev1.ClaimPending, nil, false)
	p.LookAgain(resync)
}

// keepBound keeps a claim bound, or says that it has lost its volume.
func keepBound(p *ctrl.Plan, v *view.View, c *corev1.PersistentVolumeClaim) {
	if c.Spec.VolumeName == "" {
		lose(p, c, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
		return
	}
	pv := volumeNamed(v, c.Spec.VolumeName)
	switch {
	case pv == nil:
		lose(p, c, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
	case pv.Spec.ClaimRef == nil || pv.Spec.ClaimRef.UID == c.UID:
		bind(p, pv, c)
	default:
		lose(p, c, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
	}
}

func lose(p *ctrl.Plan, c *corev1.PersistentVolumeClaim, reason, message string) {
	if c.Status.Phase != corev1.ClaimLost {
		setClaimPhase(p, c, corev1.ClaimLost, nil, false, api.Warning(c, component, reason, message))
	}
}

// bind writes what is missing of a binding: the claim into the volume, the volume's
// phase, the volume into the claim, the claim's phase.
func bind(p *ctrl.Plan, pv *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) {
	now := kinds.Clone(pv)
	changed := false
	if !isFor(pv, c) && !annotated(pv, boundByController) {
		annotate(now, boundByController, "yes")
		changed = true
	}
	if ref := pv.Spec.ClaimRef; ref == nil || ref.Name != c.Name || ref.Namespace != c.Namespace || ref.UID != c.UID {
		now.Spec.ClaimRef = refOf(c)
		changed = true
	}
	if changed {
		p.Write(api.Update(now))
	}
	setVolumePhase(p, now, corev1.VolumeBound, "", changed)

	claim := kinds.Clone(c)
	bound := false
	if c.Spec.VolumeName != pv.Name {
		claim.Spec.VolumeName = pv.Name
		if !annotated(claim, boundByController) {
			annotate(claim, boundByController, "yes")
		}
		bound = true
	}
	if !annotated(claim, bindCompleted) {
		annotate(claim, bindCompleted, "yes")
		bound = true
	}
	if bound {
		p.Write(api.Update(claim))
	}
	setClaimPhase(p, claim, corev1.ClaimBound, pv, bound)
}

func refOf(c *corev1.PersistentVolumeClaim) *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: c.Namespace, Name: c.Name,
		UID: c.UID, ResourceVersion: c.ResourceVersion}
}

// setClaimPhase writes a claim's status where it differs; pv is the volume it is bound
// to, nil for none. after says that the plan has written the claim before.
func setClaimPhase(p *ctrl.Plan, c *corev1.PersistentVolumeClaim, phase corev1.PersistentVolumeClaimPhase, pv *corev1.PersistentVolume, after bool, notes ...api.Note) {
	now := kinds.Clone(c)
	s := &now.Status
	if pv == nil {
		s.AccessModes, s.Capacity, s.CurrentVolumeAttributesClassName = nil, nil, nil
	} else {
		s.AccessModes = pv.Spec.AccessModes
		if s.Phase != phase { // the size of a bound claim may differ by intent
			s.Capacity = pv.Spec.Capacity
			if s.Phase == corev1.ClaimPending {
				s.CurrentVolumeAttributesClassName = pv.Spec.VolumeAttributesClassName
			}
		}
	}
	s.Phase = phase
	if !equality.Semantic.DeepEqual(s, &c.Status) {
		p.WriteNoted(statusOf(now, after), notes...)
	}
}

// setVolumePhase writes a volume's phase where it differs.
func setVolumePhase(p *ctrl.Plan, pv *corev1.PersistentVolume, phase corev1.PersistentVolumePhase, message string, after bool, notes ...api.Note) {
	if pv.Status.Phase != phase {
		now := kinds.Clone(pv)
		now.Status.Phase, now.Status.Message = phase, message
		p.WriteNoted(statusOf(now, after), notes...)
	}
}

// statusOf is the write of a status. After another write of the plan to the same
// object its version is not known beforehand.
func statusOf(o kinds.Object, after bool) api.Request {
	r := api.UpdateStatus(o)
	if after {
		r.RV = ""
	}
	return r
}
