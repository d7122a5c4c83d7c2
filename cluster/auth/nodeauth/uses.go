package nodeauth

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// any says whether a pod of the node is in a namespace and has to do with
// something. What a mirror pod names does not count: the node made it itself.
func (z *Authorizer) any(node, namespace string, has func(*corev1.Pod) bool) bool {
	for p := range z.cluster.PodsOn(node) {
		if _, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]; !mirror && p.Namespace == namespace && has(p) {
			return true
		}
	}
	return false
}

func (z *Authorizer) runs(node, namespace, name string) bool {
	p, ok := z.cluster.Object(kinds.Ref{Kind: kinds.Pod, Key: kinds.Key{Namespace: namespace, Name: name}}).(*corev1.Pod)
	return ok && p.Spec.NodeName == node
}

func (z *Authorizer) usesAccount(node, namespace, name string) bool {
	return z.any(node, namespace, func(p *corev1.Pod) bool { return p.Spec.ServiceAccountName == name })
}

func (z *Authorizer) usesConfigMap(node, namespace, name string) bool {
	return z.any(node, namespace, func(p *corev1.Pod) bool {
		return inEnvironment(p, false, name) || inVolumes(p, func(v *corev1.Volume) bool {
			return v.ConfigMap != nil && v.ConfigMap.Name == name || projects(v, func(s *corev1.VolumeProjection) bool {
				return s.ConfigMap != nil && s.ConfigMap.Name == name
			})
		})
	})
}

// usesSecret also follows the claims to the secrets that their volumes name.
func (z *Authorizer) usesSecret(node, namespace, name string) bool {
	return z.any(node, namespace, func(p *corev1.Pod) bool { return podUsesSecret(p, name) }) || z.volumeUsesSecret(node, namespace, name)
}

func podUsesSecret(p *corev1.Pod, name string) bool {
	for _, s := range p.Spec.ImagePullSecrets {
		if s.Name == name {
			return true
		}
	}
	return inEnvironment(p, true, name) || inVolumes(p, func(v *corev1.Volume) bool {
		return v.Secret != nil && v.Secret.SecretName == name || projects(v, func(s *corev1.VolumeProjection) bool {
			return s.Secret != nil && s.Secret.Name == name
		}) || driverSecret(v, name)
	})
}

// driverSecret looks at the kinds of volume that name a secret of the pod's
// namespace.
func driverSecret(v *corev1.Volume, name string) bool {
	named := func(r *corev1.LocalObjectReference) bool { return r != nil && r.Name == name }
	switch {
	case v.CSI != nil:
		return named(v.CSI.NodePublishSecretRef)
	case v.FlexVolume != nil:
		return named(v.FlexVolume.SecretRef)
	case v.RBD != nil:
		return named(v.RBD.SecretRef)
	case v.ISCSI != nil:
		return named(v.ISCSI.SecretRef)
	case v.CephFS != nil:
		return named(v.CephFS.SecretRef)
	case v.Cinder != nil:
		return named(v.Cinder.SecretRef)
	case v.ScaleIO != nil:
		return named(v.ScaleIO.SecretRef)
	case v.StorageOS != nil:
		return named(v.StorageOS.SecretRef)
	case v.AzureFile != nil:
		return v.AzureFile.SecretName == name
	}
	return false
}

// claimOf is the claim that a volume of a pod stands for, "" for none: by its name,
// or made for the pod.
func claimOf(p *corev1.Pod, v *corev1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName
	case v.Ephemeral != nil:
		return p.Name + "-" + v.Name
	}
	return ""
}

func (z *Authorizer) usesClaim(node, namespace, name string) bool {
	return z.any(node, namespace, func(p *corev1.Pod) bool {
		return inVolumes(p, func(v *corev1.Volume) bool { return claimOf(p, v) == name })
	})
}

func (z *Authorizer) volume(name string) *corev1.PersistentVolume {
	v, _ := z.cluster.Object(kinds.Ref{Kind: kinds.PersistentVolume, Key: kinds.Key{Name: name}}).(*corev1.PersistentVolume)
	return v
}

// usesVolume goes from a volume to the claim that it is bound to.
func (z *Authorizer) usesVolume(node, _, name string) bool {
	v := z.volume(name)
	return v != nil && v.Spec.ClaimRef != nil && z.usesClaim(node, v.Spec.ClaimRef.Namespace, v.Spec.ClaimRef.Name)
}

// volumeUsesSecret looks at the volumes behind the claims of the node's pods.
func (z *Authorizer) volumeUsesSecret(node, namespace, name string) bool {
	for p := range z.cluster.PodsOn(node) {
		if _, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
			continue
		}
		for i := range p.Spec.Volumes {
			claim := claimOf(p, &p.Spec.Volumes[i])
			if claim == "" {
				continue
			}
			c, ok := z.cluster.Object(kinds.Ref{Kind: kinds.PersistentVolumeClaim, Key: kinds.Key{Namespace: p.Namespace, Name: claim}}).(*corev1.PersistentVolumeClaim)
			if !ok {
				continue
			}
			if v := z.volume(c.Spec.VolumeName); v != nil && namesSecret(v, kinds.Key{Namespace: namespace, Name: name}) {
				return true
			}
		}
	}
	return false
}

// namesSecret says whether a volume needs a secret on the node where it is mounted.
// One without a namespace is of the claim's.
func namesSecret(v *corev1.PersistentVolume, secret kinds.Key) bool {
	if v.Spec.ClaimRef == nil {
		return false
	}
	is := func(r *corev1.SecretReference) bool {
		return r != nil && r.Name == secret.Name && cmp.Or(r.Namespace, v.Spec.ClaimRef.Namespace) == secret.Namespace
	}
	switch s := &v.Spec.PersistentVolumeSource; {
	case s.CSI != nil:
		return is(s.CSI.NodePublishSecretRef) || is(s.CSI.NodeStageSecretRef) || is(s.CSI.NodeExpandSecretRef)
	case s.FlexVolume != nil:
		return is(s.FlexVolume.SecretRef)
	case s.RBD != nil:
		return is(s.RBD.SecretRef)
	case s.ISCSI != nil:
		return is(s.ISCSI.SecretRef)
	case s.CephFS != nil:
		return is(s.CephFS.SecretRef)
	case s.Cinder != nil:
		return is(s.Cinder.SecretRef)
	case s.ScaleIO != nil:
		return is(s.ScaleIO.SecretRef)
	case s.AzureFile != nil:
		ns := v.Spec.ClaimRef.Namespace
		if s.AzureFile.SecretNamespace != nil {
			ns = *s.AzureFile.SecretNamespace
		}
		return kinds.Key{Namespace: ns, Name: s.AzureFile.SecretName} == secret
	}
	return false
}

func inVolumes(p *corev1.Pod, has func(*corev1.Volume) bool) bool {
	for i := range p.Spec.Volumes {
		if has(&p.Spec.Volumes[i]) {
			return true
		}
	}
	return false
}

func projects(v *corev1.Volume, has func(*corev1.VolumeProjection) bool) bool {
	if v.Projected == nil {
		return false
	}
	for i := range v.Projected.Sources {
		if has(&v.Projected.Sources[i]) {
			return true
		}
	}
	return false
}

// inEnvironment looks at the variables of all containers of a pod.
func inEnvironment(p *corev1.Pod, secret bool, name string) bool {
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			if named(list[i].Env, list[i].EnvFrom, secret, name) {
				return true
			}
		}
	}
	for i := range p.Spec.EphemeralContainers {
		if c := &p.Spec.EphemeralContainers[i]; named(c.Env, c.EnvFrom, secret, name) {
			return true
		}
	}
	return false
}

func named(env []corev1.EnvVar, from []corev1.EnvFromSource, secret bool, name string) bool {
	for i := range env {
		switch f := env[i].ValueFrom; {
		case f == nil:
		case secret && f.SecretKeyRef != nil && f.SecretKeyRef.Name == name,
			!secret && f.ConfigMapKeyRef != nil && f.ConfigMapKeyRef.Name == name:
			return true
		}
	}
	for i := range from {
		switch f := &from[i]; {
		case secret && f.SecretRef != nil && f.SecretRef.Name == name,
			!secret && f.ConfigMapRef != nil && f.ConfigMapRef.Name == name:
			return true
		}
	}
	return false
}
