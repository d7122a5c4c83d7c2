package persistentvolume

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
)

// Provisioner stands for all provisioners outside of Kubernetes, by whatever name a
// class has. A volume is there as soon as it is asked for.
type Provisioner struct{}

// NewProvisioner returns it.
func NewProvisioner() *Provisioner { return &Provisioner{} }

// Name is "external-provisioner"; its events bear the name of the class' provisioner.
func (*Provisioner) Name() string { return "external-provisioner" }

// Kinds are claims and volumes.
func (*Provisioner) Kinds() []kinds.Kind {
	return []kinds.Kind{kinds.PersistentVolumeClaim, kinds.PersistentVolume}
}

// Keys asks for claims marked for a provisioner and for released volumes.
func (*Provisioner) Keys(_ *view.View, e store.Event, add func(kinds.Ref)) {
	if e.Type == store.Deleted {
		return
	}
	switch o := e.Object.(type) {
	case *corev1.PersistentVolumeClaim:
		if o.Spec.VolumeName == "" && annotated(o, provisionerNow) {
			add(e.Ref)
		}
	case *corev1.PersistentVolume:
		if toDelete(o) {
			add(e.Ref)
		}
	}
}

func toDelete(pv *corev1.PersistentVolume) bool {
	return pv.Status.Phase == corev1.VolumeReleased && pv.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete &&
		pv.DeletionTimestamp == nil && annotated(pv, provisionedBy)
}

// Reconcile makes a claim's volume, or deletes a released one.
func (*Provisioner) Reconcile(_ time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	if key.Kind == kinds.PersistentVolume {
		if pv := view.Get[*corev1.PersistentVolume](v, key.Kind, key.Key); pv != nil && toDelete(pv) {
			p.Write(api.Delete(key, pv.UID))
		}
		return p
	}
	c := view.Get[*corev1.PersistentVolumeClaim](v, key.Kind, key.Key)
	if c == nil || c.Spec.VolumeName != "" || c.DeletionTimestamp != nil || volumeNamed(v, madeName(c)) != nil {
		return p
	}
	name, _ := classOf(c)
	class := view.Get[*storagev1.StorageClass](v, kinds.StorageClass, kinds.Key{Name: name})
	by := c.Annotations[provisionerNow]
	if class == nil || by == "" || class.Provisioner != by && kinds.CSIDriverOf(class.Provisioner) != by {
		return p
	}
	var node *corev1.Node
	if on, ok := c.Annotations[selectedNode]; ok {
		if node = view.Get[*corev1.Node](v, kinds.Node, kinds.Key{Name: on}); node == nil {
			giveBack(&p, c, by, fmt.Sprintf("failed to get target node: node %q not found", on))
			return p
		}
	} else if wait, err := waits(v, c); wait || err != nil {
		return p // the scheduler has not chosen yet
	}
	pv := volumeFor(c, class, by)
	places, ok := placesFor(v, c, class, by, node)
	if !ok {
		giveBack(&p, c, by, fmt.Sprintf("failed to provision volume with StorageClass %q: error generating accessibility requirements: selected node %q is not in allowed topology", class.Name, node.Name))
		return p
	}
	if len(places) > 0 {
		pv.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: places}}}}
	}
	p.Note(api.Normal(c, by, "Provisioning", fmt.Sprintf("External provisioner is provisioning volume for claim %q", kinds.KeyOf(c))))
	p.WriteNoted(api.Create(pv), api.Normal(c, by, "ProvisioningSucceeded", "Successfully provisioned volume "+pv.Name))
	return p
}

// giveBack says that a volume cannot be made on the selected node, so that the
// scheduler chooses again.
func giveBack(p *ctrl.Plan, c *corev1.PersistentVolumeClaim, by, why string) {
	now := kinds.Clone(c)
	delete(now.Annotations, selectedNode)
	p.Write(api.Update(now))
	p.Note(api.Warning(c, by, "ProvisioningFailed", why))
}

// madeName is the name of the volume that is made for a claim.
func madeName(c *corev1.PersistentVolumeClaim) string { return "pvc-" + string(c.UID) }

func volumeFor(c *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, by string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: madeName(c), Annotations: map[string]string{provisionedBy: by}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: c.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:                   c.Spec.AccessModes,
			VolumeMode:                    c.Spec.VolumeMode,
			VolumeAttributesClassName:     c.Spec.VolumeAttributesClassName,
			StorageClassName:              class.Name,
			MountOptions:                  class.MountOptions,
			PersistentVolumeReclaimPolicy: or(class.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete),
			ClaimRef:                      refOf(c),
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: by, VolumeHandle: madeName(c)}},
		},
	}
}

// placesFor are the node labels that a volume is tied to: those of the selected node
// that the class' topologies or, without any, the driver on the node go by. Without a
// node it is one of the class' places, by the claim's name, so that a StatefulSet's
// claims are spread over them. ok is false where the node is in none.
func placesFor(v *view.View, c *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, by string, node *corev1.Node) (out []corev1.NodeSelectorRequirement, ok bool) {
	if node == nil {
		all := placesOf(class)
		if len(all) == 0 {
			return nil, true
		}
		return all[turnOf(c.Name)%uint64(len(all))], true
	}
	if len(class.AllowedTopologies) == 0 {
		if csi := view.Get[*storagev1.CSINode](v, kinds.CSINode, kinds.Key{Name: node.Name}); csi != nil {
			for i := range csi.Spec.Drivers {
				if d := &csi.Spec.Drivers[i]; d.Name == by {
					return labelsOf(node, d.TopologyKeys), true
				}
			}
		}
		return nil, true
	}
	for i := range class.AllowedTopologies {
		list := class.AllowedTopologies[i].MatchLabelExpressions
		keys, all := make([]string, 0, len(list)), true
		for _, r := range list {
			keys = append(keys, r.Key)
			all = all && slices.Contains(r.Values, node.Labels[r.Key])
		}
		if all && len(keys) > 0 {
			return labelsOf(node, keys), true
		}
	}
	return nil, false
}

func labelsOf(n *corev1.Node, keys []string) (out []corev1.NodeSelectorRequirement) {
	for _, key := range slices.Sorted(slices.Values(keys)) {
		if value, ok := n.Labels[key]; ok {
			out = append(out, in(key, value))
		}
	}
	return out
}

func in(key, value string) corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{value}}
}

// placesMax bounds the places of a class that volumes without a node are spread over.
const placesMax = 1024

// placesOf are all places that a class allows, in order.
func placesOf(class *storagev1.StorageClass) [][]corev1.NodeSelectorRequirement {
	all := map[string][]corev1.NodeSelectorRequirement{}
	for i := range class.AllowedTopologies {
		list := class.AllowedTopologies[i].MatchLabelExpressions
		if len(list) == 0 {
			continue
		}
		places := [][]corev1.NodeSelectorRequirement{nil}
		for _, r := range slices.SortedFunc(slices.Values(list), func(a, b corev1.TopologySelectorLabelRequirement) int { return strings.Compare(a.Key, b.Key) }) {
			var next [][]corev1.NodeSelectorRequirement
			for _, place := range places {
				for _, value := range r.Values {
					if len(next) < placesMax {
						next = append(next, append(slices.Clone(place), in(r.Key, value)))
					}
				}
			}
			places = next
		}
		for _, place := range places {
			all[fmt.Sprint(place)] = place
		}
	}
	var out [][]corev1.NodeSelectorRequirement
	for _, key := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[key])
	}
	return out
}

// turnOf is a number that goes up with the ordinal at the end of a claim's name.
func turnOf(name string) uint64 {
	ordinal := uint64(0)
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		if n, err := strconv.ParseUint(name[i+1:], 10, 32); err == nil {
			name, ordinal = name[:i], n
		}
	}
	h := fnv.New32()
	h.Write([]byte(name))
	return uint64(h.Sum32()) + ordinal
}
