package api

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"seatrial.dev/seatrial/cluster/kinds"
)

// What a pod finds of its service account, as Kubernetes' admission plug-in
// ServiceAccount has it
// (https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#serviceaccount-admission-controller).
const (
	accountPath         = "/var/run/secrets/kubernetes.io/serviceaccount"
	accountVolumePrefix = "kube-api-access-"
	accountTokenSeconds = 3607 // the odd seconds tell it from one that was asked for
	accountFileMode     = 0o644
	rootBundle          = "kube-root-ca.crt"
)

// admitAccount gives a pod the pull secrets of its service account and, unless one of the
// two says no, its token as a volume.
func (a *API) admitAccount(pod *corev1.Pod) error {
	if pod.Annotations[corev1.MirrorPodAnnotationKey] != "" {
		return nil
	}
	key := kinds.Key{Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName}
	account, ok := a.store.Get(kinds.Ref{Kind: kinds.ServiceAccount, Key: key}).(*corev1.ServiceAccount)
	if !ok {
		return apierrors.NewForbidden(resource(kinds.Pod), pod.Name,
			fmt.Errorf("error looking up service account %s: serviceaccount %q not found", key, key.Name))
	}
	if len(pod.Spec.ImagePullSecrets) == 0 {
		pod.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
	}
	wanted := true
	for _, says := range []*bool{account.AutomountServiceAccountToken, pod.Spec.AutomountServiceAccountToken} {
		if says != nil {
			wanted = *says // the pod's word is the last
		}
	}
	if wanted {
		a.mountAccount(pod)
	}
	return nil
}

// mountAccount mounts the token into each container that has nothing at its path.
func (a *API) mountAccount(pod *corev1.Pod) {
	name := ""
	for _, v := range pod.Spec.Volumes {
		if v.Projected != nil && strings.HasPrefix(v.Name, accountVolumePrefix) {
			name = v.Name // made for a pod that this one is a copy of
		}
	}
	had := name != ""
	if !had {
		name = accountVolumePrefix + a.suffix()
	}
	mounted := false
	mount := func(given []corev1.Container) []corev1.Container {
		list := slices.Clone(given) // it may be a template's
		for i := range list {
			if slices.ContainsFunc(list[i].VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == accountPath }) {
				continue
			}
			list[i].VolumeMounts = append(slices.Clone(list[i].VolumeMounts), corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: accountPath})
			mounted = true
		}
		return list
	}
	pod.Spec.InitContainers, pod.Spec.Containers = mount(pod.Spec.InitContainers), mount(pod.Spec.Containers)
	if mounted && !had {
		pod.Spec.Volumes = append(slices.Clone(pod.Spec.Volumes), accountVolume(name))
	}
}

func accountVolume(name string) corev1.Volume {
	seconds, mode := int64(accountTokenSeconds), int32(accountFileMode)
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: &mode,
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{ExpirationSeconds: &seconds, Path: "token"}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: rootBundle}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
				{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}}}},
		},
	}}}
}
