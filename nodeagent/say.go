package nodeagent

import (
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/api"
)

// Reasons of waiting containers, conditions and events, in Kubernetes' words.
const (
	reasonContainerCreating = "ContainerCreating"
	reasonPodInitializing   = "PodInitializing"
	reasonCrashLoop         = "CrashLoopBackOff"
	reasonErrImagePull      = "ErrImagePull"
	reasonImageBackOff      = "ImagePullBackOff"
	reasonImageNeverPull    = "ErrImageNeverPull"
	reasonInvalidImage      = "InvalidImageName"
	reasonRunError          = "RunContainerError"
	reasonCreateError       = "CreateContainerError"
	reasonConfigError       = "CreateContainerConfigError"
	reasonHookError         = "PostStartHookError"
	reasonStatusUnknown     = "ContainerStatusUnknown"
	reasonDeadline          = "DeadlineExceeded"
	reasonEvicted           = "Evicted"

	networkNotReady = "network is not ready"
	volumesNotReady = "volumes are not ready: "
	messageDeadline = "Pod was active on the node longer than the specified deadline"
	messageMissing  = "The container could not be located when the pod was terminated"
)

const componentName = "kubelet"

// say records an event about a pod, or about one of its containers.
func (a *Agent) say(p *pod, c *container, kind, reason, message string) {
	n := api.Note{About: p.api, Type: kind, Reason: reason, Message: message, Component: componentName, Host: a.name}
	if c != nil {
		n.FieldPath = c.fieldPath()
	}
	a.do(Say{n})
}

func (a *Agent) sayNormal(p *pod, c *container, reason, message string) {
	a.say(p, c, corev1.EventTypeNormal, reason, message)
}

func (a *Agent) sayWarning(p *pod, c *container, reason, message string) {
	a.say(p, c, corev1.EventTypeWarning, reason, message)
}

// fieldPath is how an event names the container.
func (c *container) fieldPath() string {
	if c.path == "" {
		switch {
		case c.init:
			c.path = "spec.initContainers{" + c.spec.Name + "}"
		case c.guest:
			c.path = "spec.ephemeralContainers{" + c.spec.Name + "}"
		default:
			c.path = "spec.containers{" + c.spec.Name + "}"
		}
	}
	return c.path
}

// fullName is how the kubelet's messages name a pod: "web-1_default(uid)".
func (p *pod) fullName() string {
	return p.api.Name + "_" + p.api.Namespace + "(" + string(p.uid) + ")"
}
