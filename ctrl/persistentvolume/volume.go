package persistentvolume

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
)

// reconcileVolume keeps a volume's phase and frees it when its claim is gone.
func reconcileVolume(p *ctrl.Plan, v *view.View, pv *corev1.PersistentVolume) {
	ref := pv.Spec.ClaimRef
	if ref == nil || ref.UID == "" { // free, or meant for a claim that has yet to take it
		setVolumePhase(p, pv, corev1.VolumeAvailable, "", false)
		return
	}
	c := view.Get[*corev1.PersistentVolumeClaim](v, kinds.PersistentVolumeClaim, kinds.Key{Namespace: ref.Namespace, Name: ref.Name})
	switch {
	case c == nil || c.UID != ref.UID:
		release(p, v, pv)
	case c.Spec.VolumeName == "" && !sameMode(pv, c):
		p.Note(api.Warning(pv, component, "VolumeMismatch", fmt.Sprintf("Cannot bind PersistentVolume to requested PersistentVolumeClaim %q due to incompatible volumeMode.", c.Name)))
		p.Note(api.Warning(c, component, "VolumeMismatch", fmt.Sprintf("Cannot bind PersistentVolume %q to requested PersistentVolumeClaim due to incompatible volumeMode.", pv.Name)))
		p.LookAgain(resync)
	case c.Spec.VolumeName == "": // the claim's turn comes by the same event
	case c.Spec.VolumeName == pv.Name:
		setVolumePhase(p, pv, corev1.VolumeBound, "", false)
	case annotated(pv, provisionedBy) && pv.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete:
		release(p, v, pv) // made for the claim, which has another
	default:
		unbind(p, pv)
	}
}

// release frees a volume whose claim is gone, by its reclaim policy.
func release(p *ctrl.Plan, v *view.View, pv *corev1.PersistentVolume) {
	if pv.Status.Phase != corev1.VolumeReleased && pv.Status.Phase != corev1.VolumeFailed {
		setVolumePhase(p, pv, corev1.VolumeReleased, "", false)
		return // the rest when that is seen
	}
	switch pv.Spec.PersistentVolumeReclaimPolicy {
	case corev1.PersistentVolumeReclaimRetain:
	case corev1.PersistentVolumeReclaimRecycle:
		recycle(p, v, pv)
	case corev1.PersistentVolumeReclaimDelete:
		remove(p, pv)
	default:
		setVolumePhase(p, pv, corev1.VolumeFailed, "", false,
			api.Warning(pv, component, "VolumeUnknownReclaimPolicy", "Volume has unrecognized PersistentVolumeReclaimPolicy"))
	}
}

// recycle makes a volume of a kind that can be wiped free again; the wiping takes no
// time here.
func recycle(p *ctrl.Plan, v *view.View, pv *corev1.PersistentVolume) {
	ref := pv.Spec.ClaimRef
	var users []string
	if view.Get[*corev1.PersistentVolumeClaim](v, kinds.PersistentVolumeClaim, kinds.Key{Namespace: ref.Namespace, Name: ref.Name}) == nil {
		for pod := range view.In[*corev1.Pod](v, kinds.Pod, ref.Namespace) {
			if !view.Finished(pod) && uses(pod, ref.Name) {
				users = append(users, pod.Namespace+"/"+pod.Name)
			}
		}
	}
	switch {
	case len(users) > 0:
		p.Note(api.Normal(pv, component, "VolumeFailedRecycle", "Volume is used by pods: "+strings.Join(users, ",")))
		p.LookAgain(resync)
	case pv.Spec.HostPath == nil && pv.Spec.NFS == nil:
		fail(p, pv, "VolumeFailedRecycle", "No recycler plugin found for the volume!")
	default:
		p.Note(api.Normal(pv, component, "VolumeRecycled", "Volume recycled"))
		unbind(p, pv)
	}
}

// remove deletes a volume. Those of a provisioner are its to delete.
func remove(p *ctrl.Plan, pv *corev1.PersistentVolume) {
	by := pv.Annotations[provisionedBy]
	switch {
	case by != "" && (kinds.CSIDriverOf(by) != "" || !strings.HasPrefix(by, inTreePrefix)), pv.Spec.CSI != nil:
	case pv.Spec.HostPath != nil:
		p.Write(api.Delete(kinds.RefOf(pv), pv.UID))
	default:
		fail(p, pv, "VolumeFailedDelete", fmt.Sprintf("error getting deleter volume plugin for volume %q: no deletable volume plugin matched", pv.Name))
	}
}

func fail(p *ctrl.Plan, pv *corev1.PersistentVolume, reason, message string) {
	setVolumePhase(p, pv, corev1.VolumeFailed, message, false, api.Warning(pv, component, reason, message))
}

// unbind takes a binding back: of a volume that was bound here altogether, of one that
// somebody meant for the claim only the claim's UID.
func unbind(p *ctrl.Plan, pv *corev1.PersistentVolume) {
	now := kinds.Clone(pv)
	if annotated(pv, boundByController) {
		now.Spec.ClaimRef = nil
		if delete(now.Annotations, boundByController); len(now.Annotations) == 0 {
			now.Annotations = nil
		}
	} else {
		now.Spec.ClaimRef.UID = ""
	}
	p.Write(api.Update(now))
	setVolumePhase(p, now, corev1.VolumeAvailable, "", true)
}
