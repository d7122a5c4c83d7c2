package kinds

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Source: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/
func (c *check) node(root *loc, n *corev1.Node) {
	spec := root.dot("spec")
	for i := range n.Spec.Taints {
		c.taint(&spec, n.Spec.Taints, i)
	}
	for i, cidr := range n.Spec.PodCIDRs {
		here := spec.index("podCIDRs", i)
		c.cidr(&here, "", cidr)
	}
	if n.Spec.PodCIDR != "" && len(n.Spec.PodCIDRs) > 0 && n.Spec.PodCIDRs[0] != n.Spec.PodCIDR {
		here := spec.index("podCIDRs", 0)
		c.invalid(&here, "", n.Spec.PodCIDRs, "the first value must be equal to podCIDR")
	}
	if n.Spec.PodCIDR != "" && len(n.Spec.PodCIDRs) == 0 {
		c.cidr(&spec, "podCIDR", n.Spec.PodCIDR)
	}
	status := root.dot("status")
	c.resourceList(&status, "capacity", n.Status.Capacity, nodeResources)
	c.resourceList(&status, "allocatable", n.Status.Allocatable, nodeResources)
	for i := range n.Status.Addresses {
		for j := range i {
			if n.Status.Addresses[i] == n.Status.Addresses[j] {
				here := status.index("addresses", i)
				c.duplicate(&here, "", n.Status.Addresses[i])
				break
			}
		}
	}
}

// taint: the same key may have one taint for each effect.
func (c *check) taint(spec *loc, taints []corev1.Taint, i int) {
	t := &taints[i]
	here := spec.index("taints", i)
	c.qualified(&here, "key", t.Key)
	if !isLabelValue(t.Value) {
		place := here.dot("value")
		c.labelValue(&place, t.Value)
	}
	c.taintEffect(&here, t.Effect)
	for j := range i {
		if taints[j].Key == t.Key && taints[j].Effect == t.Effect {
			c.duplicate(&here, "", *t)
			break
		}
	}
}

func (c *check) cidr(at *loc, name, value string) {
	if errs := validation.IsValidCIDR(nil, value); len(errs) > 0 {
		c.invalid(at, name, value, errs[0].Detail)
	}
}

func (c *check) namespace(root *loc, ns *corev1.Namespace) {
	spec := root.dot("spec")
	for i, f := range ns.Spec.Finalizers {
		here := spec.index("finalizers", i)
		c.finalizer(&here, string(f))
	}
}

func (c *check) finalizer(at *loc, name string) {
	if !isQualified(name) {
		c.invalids(at, "", name, validation.IsQualifiedName(name))
		return
	}
	for i := range name {
		if name[i] == '/' {
			return
		}
	}
	if name != string(corev1.FinalizerKubernetes) && name != "orphan" && name != "foregroundDeletion" {
		c.invalid(at, "", name, "name is neither a standard finalizer name nor is it fully qualified")
	}
}

// Source: https://kubernetes.io/docs/concepts/configuration/configmap/
func (c *check) configMap(root *loc, cm *corev1.ConfigMap) {
	size := 0
	for k, v := range cm.Data {
		size += len(k) + len(v)
	}
	for k, v := range cm.BinaryData {
		size += len(k) + len(v)
	}
	c.configKeys(root, "data", sortedKeys(cm.Data))
	c.configKeys(root, "binaryData", sortedKeys(cm.BinaryData))
	if len(cm.BinaryData) > 0 {
		for _, k := range sortedKeys(cm.Data) {
			if _, twice := cm.BinaryData[k]; twice {
				here := root.at("data", k)
				c.invalid(&here, "", k, "duplicate of key present in binaryData")
			}
		}
	}
	c.size(root, size)
}

// size: a ConfigMap or Secret holds at most 1 MiB.
func (c *check) size(root *loc, bytes int) {
	if bytes > corev1.MaxSecretSize {
		c.errs = append(c.errs, field.TooLong(below(root, "data"), "", corev1.MaxSecretSize))
	}
}

// Source: https://kubernetes.io/docs/concepts/configuration/secret/#secret-types
func (c *check) secret(root *loc, s *corev1.Secret) {
	size := 0
	for _, v := range s.Data {
		size += len(v)
	}
	c.configKeys(root, "data", sortedKeys(s.Data))
	c.size(root, size)
	switch s.Type {
	case corev1.SecretTypeServiceAccountToken:
		if s.Annotations[corev1.ServiceAccountNameKey] == "" {
			meta := root.dot("metadata")
			here := meta.at("annotations", corev1.ServiceAccountNameKey)
			c.required(&here, "", "")
		}
	case corev1.SecretTypeDockercfg:
		c.secretJSON(root, s, corev1.DockerConfigKey)
	case corev1.SecretTypeDockerConfigJson:
		c.secretJSON(root, s, corev1.DockerConfigJsonKey)
	case corev1.SecretTypeBasicAuth:
		_, user := s.Data[corev1.BasicAuthUsernameKey]
		_, password := s.Data[corev1.BasicAuthPasswordKey]
		if !user && !password {
			c.secretKey(root, s, corev1.BasicAuthUsernameKey)
			c.secretKey(root, s, corev1.BasicAuthPasswordKey)
		}
	case corev1.SecretTypeSSHAuth:
		if len(s.Data[corev1.SSHAuthPrivateKey]) == 0 {
			here := root.at("data", corev1.SSHAuthPrivateKey)
			c.required(&here, "", "")
		}
	case corev1.SecretTypeTLS:
		c.secretKey(root, s, corev1.TLSCertKey)
		c.secretKey(root, s, corev1.TLSPrivateKeyKey)
	}
}

func (c *check) secretKey(root *loc, s *corev1.Secret, key string) bool {
	_, ok := s.Data[key]
	if !ok {
		here := root.at("data", key)
		c.required(&here, "", "")
	}
	return ok
}

func (c *check) secretJSON(root *loc, s *corev1.Secret, key string) {
	if !c.secretKey(root, s, key) {
		return
	}
	var any map[string]any
	if err := json.Unmarshal(s.Data[key], &any); err != nil {
		here := root.at("data", key)
		c.invalid(&here, "", "<secret contents redacted>", err.Error())
	}
}
