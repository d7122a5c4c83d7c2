package kinds

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// defaultPod is the pod spec's defaults and those that a pod has but a template
// has not: requests from limits, host ports, service links.
func defaultPod(pod *corev1.Pod) {
	spec := &pod.Spec
	defaultPodSpec(spec)
	for i := range spec.InitContainers {
		requestsFromLimits(&spec.InitContainers[i].Resources)
	}
	for i := range spec.Containers {
		requestsFromLimits(&spec.Containers[i].Resources)
	}
	if spec.Resources != nil {
		defaultPodLevelRequests(spec)
	}
	if spec.EnableServiceLinks == nil {
		spec.EnableServiceLinks = ptr(corev1.DefaultEnableServiceLinks)
	}
	if spec.HostNetwork {
		for i := range spec.InitContainers {
			defaultHostPorts(spec.InitContainers[i].Ports)
		}
		for i := range spec.Containers {
			defaultHostPorts(spec.Containers[i].Ports)
		}
	}
	setIfEmpty(&pod.Status.Phase, corev1.PodPending)
}

// requestsFromLimits: who states a limit and no request asks for the limit.
// Source: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
func requestsFromLimits(r *corev1.ResourceRequirements) {
	if len(r.Limits) > 0 {
		inherit(&r.Requests, r.Limits)
	}
}

// defaultPodLevelRequests fills in the requests of a pod that states limits for
// itself: what its containers ask for together, else the limit.
// Source: https://kubernetes.io/docs/tasks/configure-pod-container/assign-pod-level-resources/
func defaultPodLevelRequests(spec *corev1.PodSpec) {
	defaultResources(spec.Resources.Limits)
	defaultResources(spec.Resources.Requests)
	for name, limit := range spec.Resources.Limits { //det:ok each key goes to its own place
		if _, ok := spec.Resources.Requests[name]; ok {
			continue
		}
		if spec.Resources.Requests == nil {
			spec.Resources.Requests = corev1.ResourceList{}
		}
		if sum, ok := containerRequests(spec, name); ok {
			spec.Resources.Requests[name] = sum
		} else {
			spec.Resources.Requests[name] = limit.DeepCopy()
		}
	}
}

// containerRequests is what a pod's containers need of a resource at once: the
// sum over those that run side by side, or the most that an init container
// needs beside the sidecars started before it.
func containerRequests(spec *corev1.PodSpec, name corev1.ResourceName) (sum quantity, any bool) {
	var sidecars, peak quantity
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		q, ok := c.Resources.Requests[name]
		any = any || ok
		if isSidecar(c) {
			sidecars.Add(q)
			q = sidecars.DeepCopy()
		} else {
			q.Add(sidecars)
		}
		if q.Cmp(peak) > 0 {
			peak = q
		}
	}
	sum = sidecars.DeepCopy()
	for i := range spec.Containers {
		q, ok := spec.Containers[i].Resources.Requests[name]
		any = any || ok
		sum.Add(q)
	}
	if peak.Cmp(sum) > 0 {
		sum = peak
	}
	return sum, any
}

// isSidecar: an init container that restarts always runs beside the others.
func isSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func defaultHostPorts(ports []corev1.ContainerPort) {
	for i := range ports {
		setIfEmpty(&ports[i].HostPort, ports[i].ContainerPort)
	}
}

// defaultPodSpec is what pods and pod templates have in common.
func defaultPodSpec(spec *corev1.PodSpec) {
	setIfEmpty(&spec.DNSPolicy, corev1.DNSClusterFirst)
	setIfEmpty(&spec.RestartPolicy, corev1.RestartPolicyAlways)
	setIfEmpty(&spec.SchedulerName, corev1.DefaultSchedulerName)
	if spec.SecurityContext == nil {
		spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	if spec.TerminationGracePeriodSeconds == nil {
		spec.TerminationGracePeriodSeconds = ptr(int64(corev1.DefaultTerminationGracePeriodSeconds))
	}
	// serviceAccount is the field's first name; both are kept alike.
	setIfEmpty(&spec.ServiceAccountName, spec.DeprecatedServiceAccount)
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
	for i := range spec.Volumes {
		defaultVolume(&spec.Volumes[i].VolumeSource)
	}
	for i := range spec.InitContainers {
		defaultContainer(&spec.InitContainers[i])
	}
	for i := range spec.Containers {
		defaultContainer(&spec.Containers[i])
	}
	for i := range spec.EphemeralContainers {
		defaultContainer((*corev1.Container)(&spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
	for i := range spec.TopologySpreadConstraints {
		setIfEmpty(&spec.TopologySpreadConstraints[i].WhenUnsatisfiable, corev1.DoNotSchedule)
	}
	if len(spec.Overhead) > 0 {
		defaultResources(spec.Overhead)
	}
}

func defaultContainer(c *corev1.Container) {
	if c.ImagePullPolicy == "" {
		c.ImagePullPolicy = pullPolicy(c.Image)
	}
	setIfEmpty(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	setIfEmpty(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		setIfEmpty(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil {
			if from.FieldRef != nil {
				setIfEmpty(&from.FieldRef.APIVersion, "v1")
			}
			if from.FileKeyRef != nil {
				setDefault(&from.FileKeyRef.Optional, false)
			}
		}
	}
	if len(c.Resources.Limits) > 0 {
		defaultResources(c.Resources.Limits)
	}
	if len(c.Resources.Requests) > 0 {
		defaultResources(c.Resources.Requests)
	}
	defaultProbe(c.LivenessProbe)
	defaultProbe(c.ReadinessProbe)
	defaultProbe(c.StartupProbe)
	if l := c.Lifecycle; l != nil {
		if l.PostStart != nil {
			defaultHTTPGet(l.PostStart.HTTPGet)
		}
		if l.PreStop != nil {
			defaultHTTPGet(l.PreStop.HTTPGet)
		}
	}
	if s := c.SecurityContext; s != nil {
		setDefault(&s.ProcMount, corev1.DefaultProcMount)
	}
}

// pullPolicy: an image whose tag may move is asked for at every start.
// Source: https://kubernetes.io/docs/concepts/containers/images/#imagepullpolicy-defaulting
func pullPolicy(image string) corev1.PullPolicy {
	if strings.Contains(image, "@") {
		return corev1.PullIfNotPresent // a digest does not move
	}
	name := image[strings.LastIndexByte(image, '/')+1:] // a registry's port is no tag
	if _, tag, ok := strings.Cut(name, ":"); ok && tag != "latest" {
		return corev1.PullIfNotPresent
	}
	return corev1.PullAlways
}

// Source: https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
func defaultProbe(p *corev1.Probe) {
	if p == nil {
		return
	}
	setIfEmpty(&p.TimeoutSeconds, 1)
	setIfEmpty(&p.PeriodSeconds, 10)
	setIfEmpty(&p.SuccessThreshold, 1)
	setIfEmpty(&p.FailureThreshold, 3)
	defaultHTTPGet(p.HTTPGet)
	if p.GRPC != nil {
		setDefault(&p.GRPC.Service, "")
	}
}

func defaultHTTPGet(h *corev1.HTTPGetAction) {
	if h != nil {
		setIfEmpty(&h.Path, "/")
		setIfEmpty(&h.Scheme, corev1.URISchemeHTTP)
	}
}
