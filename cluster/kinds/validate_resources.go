package kinds

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// resourceRule says which resource names a list may have.
type resourceRule int

const (
	containerResources resourceRule = iota
	podResources
	nodeResources
	quotaResources
)

// resources checks requests and limits.
// Source: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
func (c *check) resources(at *loc, r *corev1.ResourceRequirements, rule resourceRule) {
	if len(r.Limits) == 0 && len(r.Requests) == 0 {
		return
	}
	if requestsArePlain(r) {
		return
	}
	c.resourceList(at, "limits", r.Limits, rule)
	c.resourceList(at, "requests", r.Requests, rule)
	for _, name := range sortedKeys(r.Requests) {
		request := r.Requests[name]
		limit, limited := r.Limits[name]
		switch {
		case limited && !overcommits(name) && request.Cmp(limit) != 0:
			c.invalid(at, "requests", request.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String()))
		case limited && request.Cmp(limit) > 0:
			c.invalid(at, "requests", request.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String()))
		case !limited && !overcommits(name):
			c.required(at, "limits", "Limit must be set for non overcommitable resources")
		}
	}
}

// requestsArePlain: only CPU, memory and scratch space, each in bounds. Most
// pods are; the rest take the slow way.
func requestsArePlain(r *corev1.ResourceRequirements) bool {
	for name, q := range r.Limits { //det:ok only whether any is out of bounds
		if !isBasic(name) || q.Sign() < 0 {
			return false
		}
	}
	for name, q := range r.Requests { //det:ok only whether any is out of bounds
		if !isBasic(name) || q.Sign() < 0 {
			return false
		}
		if limit, ok := r.Limits[name]; ok && q.Cmp(limit) > 0 {
			return false
		}
	}
	return true
}

func isBasic(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage
}

// overcommits: the basic resources may be promised beyond what there is; whole
// devices and huge pages may not, so their request is their limit.
func overcommits(name corev1.ResourceName) bool {
	return !isHugePages(name) && (!strings.Contains(string(name), "/") || strings.Contains(string(name), "kubernetes.io/"))
}

func isHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

func (c *check) resourceList(at *loc, field string, list corev1.ResourceList, rule resourceRule) {
	for _, name := range sortedKeys(list) {
		q := list[name]
		here := at.at(field, string(name))
		c.resourceName(&here, name, rule)
		c.quantity(&here, "", q)
		if whole(name, rule) && q.MilliValue()%1000 != 0 {
			c.invalid(&here, "", q.String(), "must be an integer")
		}
	}
}

func (c *check) quantity(at *loc, name string, q quantity) {
	if q.Sign() < 0 {
		c.invalid(at, name, q.String(), notNegative)
	}
}

// whole: half a pod or half a device cannot be had.
func whole(name corev1.ResourceName, rule resourceRule) bool {
	return name == corev1.ResourcePods || !overcommits(name) ||
		rule == quotaResources && (strings.HasPrefix(string(name), "count/") || isObjectCount(name))
}

func isObjectCount(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourceServices, corev1.ResourceReplicationControllers, corev1.ResourceQuotas, corev1.ResourceSecrets,
		corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers:
		return true
	}
	return false
}

func (c *check) resourceName(at *loc, name corev1.ResourceName, rule resourceRule) {
	value := string(name)
	if !isQualified(value) {
		c.invalids(at, "", value, validation.IsQualifiedName(value))
		return
	}
	if strings.Contains(value, "/") || rule == quotaResources || rule == nodeResources {
		return
	}
	switch {
	case rule == podResources && !isBasic(name) && !isHugePages(name):
		c.notSupported(at, "", value, []string{"cpu", "hugepages-", "memory"})
	case !isBasic(name) && !isHugePages(name) && !isObjectCount(name) && name != corev1.ResourceStorage && name != corev1.ResourcePods:
		c.invalid(at, "", value, "must be a standard resource type or fully qualified")
		c.invalid(at, "", value, "must be a standard resource for containers")
	case !isBasic(name) && !isHugePages(name):
		c.invalid(at, "", value, "must be a standard resource for containers")
	}
}
