package inject

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Field is the value that a fieldRef means.
func (a *About) Field(path string) (string, error) {
	p := a.Pod
	if name, key, ok := subscript(path); ok {
		switch name {
		case "metadata.annotations":
			return p.Annotations[key], nil
		case "metadata.labels":
			return p.Labels[key], nil
		}
	}
	switch path {
	case "metadata.name":
		return p.Name, nil
	case "metadata.namespace":
		return p.Namespace, nil
	case "metadata.uid":
		return string(p.UID), nil
	case "metadata.labels":
		return lines(p.Labels), nil
	case "metadata.annotations":
		return lines(p.Annotations), nil
	case "spec.nodeName":
		return p.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return p.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return first(a.HostIPs), nil
	case "status.hostIPs":
		return strings.Join(a.HostIPs, ","), nil
	case "status.podIP":
		return first(a.PodIPs), nil
	case "status.podIPs":
		return strings.Join(a.PodIPs, ","), nil
	}
	return "", fmt.Errorf("unsupported fieldPath: %v", path)
}

// subscript parts metadata.labels['key'].
func subscript(path string) (name, key string, ok bool) {
	name, key, ok = strings.Cut(path, "['")
	if !ok {
		return "", "", false
	}
	key, ok = strings.CutSuffix(key, "']")
	return name, key, ok
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// lines is a map as downward API files show it.
func lines(m map[string]string) string {
	var b strings.Builder
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(k + "=" + strconv.Quote(m[k]))
	}
	return b.String()
}

// Resource is the value that a resourceFieldRef means, for a container that it names
// or, where it names none, for c.
func (a *About) Resource(ref *corev1.ResourceFieldSelector, c *corev1.Container) (string, error) {
	if ref.ContainerName != "" && (c == nil || c.Name != ref.ContainerName) {
		if c = a.containerNamed(ref.ContainerName); c == nil {
			return "", fmt.Errorf("container %s not found", ref.ContainerName)
		}
	}
	if c == nil {
		return "", fmt.Errorf("resourceFieldRef %s names no container", ref.Resource)
	}
	which, name, ok := strings.Cut(ref.Resource, ".")
	if !ok {
		return "", fmt.Errorf("unsupported container resource : %v", ref.Resource)
	}
	var q resource.Quantity
	switch which {
	case "limits":
		q, ok = c.Resources.Limits[corev1.ResourceName(name)]
		if !ok || q.IsZero() {
			q = a.Allocatable[corev1.ResourceName(name)]
		}
	case "requests":
		q = c.Resources.Requests[corev1.ResourceName(name)]
	default:
		return "", fmt.Errorf("unsupported container resource : %v", ref.Resource)
	}
	by := ref.Divisor
	if by.IsZero() {
		by = resource.MustParse("1")
	}
	if name == string(corev1.ResourceCPU) {
		return ceil(q.MilliValue(), by.MilliValue()), nil
	}
	return ceil(q.Value(), by.Value()), nil
}

// ceil is n/by, rounded up.
func ceil(n, by int64) string {
	if by <= 0 {
		by = 1
	}
	whole := n / by
	if n%by > 0 {
		whole++
	}
	return strconv.FormatInt(whole, 10)
}

func (a *About) containerNamed(name string) *corev1.Container {
	for _, list := range [][]corev1.Container{a.Pod.Spec.InitContainers, a.Pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}
