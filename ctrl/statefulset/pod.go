package statefulset

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl/podset"
	"seatrial.dev/seatrial/ctrl/revision"
)

// ordinalOf is the number in a pod's name; ok is false for a pod that is not of the
// set's form.
func ordinalOf(set *appsv1.StatefulSet, pod *corev1.Pod) (n int, ok bool) {
	text, ok := strings.CutPrefix(pod.Name, set.Name+"-")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && strconv.Itoa(n) == text
}

func podName(set *appsv1.StatefulSet, ordinal int) string {
	return set.Name + "-" + strconv.Itoa(ordinal)
}

// claimName is the name of a pod's own claim: "data-web-0".
func claimName(set *appsv1.StatefulSet, template string, ordinal int) string {
	return template + "-" + podName(set, ordinal)
}

// newPod is the pod of a number, of a revision's template.
func newPod(set *appsv1.StatefulSet, ordinal int, of *appsv1.ControllerRevision) (*corev1.Pod, error) {
	template, err := revision.Template(of)
	if err != nil {
		return nil, fmt.Errorf("template of revision %s: %w", of.Name, err)
	}
	p := podset.New(&template, set)
	p.Name, p.GenerateName = podName(set, ordinal), ""
	if p.Labels == nil {
		p.Labels = map[string]string{}
	}
	p.Labels[appsv1.StatefulSetPodNameLabel] = p.Name
	p.Labels[appsv1.PodIndexLabel] = strconv.Itoa(ordinal)
	p.Labels[revision.HashLabel] = of.Name
	p.Spec.Hostname, p.Spec.Subdomain = p.Name, set.Spec.ServiceName
	for i := range set.Spec.VolumeClaimTemplates {
		name := set.Spec.VolumeClaimTemplates[i].Name
		p.Spec.Volumes = slices.DeleteFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == name })
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claimName(set, name, ordinal)},
		}})
	}
	return p, nil
}

// missingClaims are the claims of a number that do not exist yet.
func missingClaims(v *view.View, set *appsv1.StatefulSet, ordinal int) (out []*corev1.PersistentVolumeClaim) {
	for i := range set.Spec.VolumeClaimTemplates {
		t := &set.Spec.VolumeClaimTemplates[i]
		key := kinds.Key{Namespace: set.Namespace, Name: claimName(set, t.Name, ordinal)}
		if view.Get[*corev1.PersistentVolumeClaim](v, kinds.PersistentVolumeClaim, key) != nil {
			continue
		}
		c := t.DeepCopy()
		c.TypeMeta, c.Status = metav1.TypeMeta{}, corev1.PersistentVolumeClaimStatus{}
		c.Namespace, c.Name = key.Namespace, key.Name
		c.Labels = maps.Clone(c.Labels)
		if set.Spec.Selector != nil && len(set.Spec.Selector.MatchLabels) > 0 {
			if c.Labels == nil {
				c.Labels = map[string]string{}
			}
			maps.Copy(c.Labels, set.Spec.Selector.MatchLabels)
		}
		out = append(out, c)
	}
	return out
}
