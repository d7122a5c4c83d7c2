package nodeagent

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// ContainerID names one run of one container of a pod: a restart is a new run.
type ContainerID struct {
	Pod  types.UID
	Name string // the container's name in the pod spec
	Run  int32  // 0 for the first start, then the restart count
}

// Input is something that happened.
type Input interface{ input() }

// The inputs of an Agent.
type (
	// Booted starts the agent, after the host came up or the agent was restarted.
	// Node is the node as the agent should register it: name, labels, taints,
	// capacity. Nothing runs on the host but what Adopted says.
	Booted struct{ Node *corev1.Node }

	// Adopted is a pod whose sandbox an earlier process of the agent has made and
	// which is still there. It is given after Booted and before the pod's first
	// PodSeen; the exits of runs that it gives as running come after that PodSeen.
	Adopted struct {
		Pod        types.UID
		IP         string
		Containers []AdoptedContainer // the last run of each that has been started
	}

	// ImagesSeen is all images that the host has now, where others than the agent
	// add or remove some. A pull need not be told so.
	ImagesSeen struct{ Images []corev1.ContainerImage }

	// NodeSeen is the agent's own Node object as the API has it now.
	NodeSeen struct{ Node *corev1.Node }

	// PodSeen is a pod assigned to this node, as the API has it now.
	PodSeen struct{ Pod *corev1.Pod }

	// HostSeen is how the host fares. It is told anew at least as often as something of
	// it changes, and every NodeStatusUpdate while it is short of anything or has been.
	HostSeen struct{ Host Host }

	// Evict says that a pod must end here for a reason of the host's: it has used more
	// than it may. It fails, with the message.
	Evict struct {
		Pod     types.UID
		Message string
	}

	// PodGone says that the API no longer has a pod that was seen.
	PodGone struct {
		Key kinds.Key
		UID types.UID
	}

	// ImagePulled answers PullImage.
	ImagePulled struct {
		Image     string
		Pod       types.UID
		Err       string // empty on success; else the runtime's message
		SizeBytes int64
		Took      time.Duration // time spent pulling, for the event's text
	}

	// SandboxReady answers MakeSandbox.
	SandboxReady struct {
		Pod types.UID
		IP  string
		Err string
	}

	// SandboxGone answers StopSandbox.
	SandboxGone struct{ Pod types.UID }

	// SandboxLost says that a sandbox ended unasked. The exits of its containers come
	// after it; there is nothing to stop.
	SandboxLost struct{ Pod types.UID }

	// ContainerStarted answers StartContainer.
	ContainerStarted struct {
		ID        ContainerID
		RuntimeID string // "containerd://…"
		ImageID   string // of what it was made of, for its status; may be empty
		Err       string // e.g. the binary does not exist
	}

	// ContainerExited says that a container ended, asked to or not.
	ContainerExited struct {
		ID       ContainerID
		ExitCode int32
		Signal   int32
		Reason   string // "OOMKilled", or empty: "Completed" or "Error" by the exit code
		Message  string
	}

	// HookDone answers RunHook.
	HookDone struct {
		ID  ContainerID
		Pre bool // preStop; else postStart
		Err string
	}

	// ProbeAnswered answers RunProbe. Steady means that the world vouches for all
	// later probes of this kind to give the same answer at their times, until it
	// sends another ProbeAnswered unasked; the agent need not ask again until then.
	ProbeAnswered struct {
		ID     ContainerID
		Probe  ProbeKind
		OK     bool
		Steady bool
		Output string // why it failed
	}

	// Wrote answers Write.
	Wrote struct {
		Tag uint64
		Err error // an *errors.StatusError of apimachinery, or nil
	}

	// Woken answers WakeAt: the time has come.
	Woken struct{}
)

// AdoptedContainer is one run of a container that is still there, or has ended while
// nobody looked.
type AdoptedContainer struct {
	ID         ContainerID
	RuntimeID  string
	StartedAt  time.Time
	Exit       *ContainerExited // nil while it runs
	FinishedAt time.Time
}

// Host says what a host is short of.
type Host struct {
	Memory, Disk, PIDs bool   // less is left of it than the least there is to be
	Problem            string // why no pods can be started; empty if they can
}

// ProbeKind says which probe of a container is meant.
type ProbeKind uint8

// The three probes of a container.
const (
	Liveness ProbeKind = iota + 1
	Readiness
	Startup
)

// String is Kubernetes' word in events: "Liveness".
func (k ProbeKind) String() string { return [...]string{"", "Liveness", "Readiness", "Startup"}[k] }

// Effect is something to be done.
type Effect interface{ effect() }

// The effects of an Agent.
type (
	// PullImage fetches an image to the node's store; answered by ImagePulled.
	// Secrets name the pod's image pull secrets.
	PullImage struct {
		Image     string
		Pod       types.UID
		Namespace string
		Secrets   []string
	}

	// MakeSandbox creates the pod's namespaces and address; answered by
	// SandboxReady.
	MakeSandbox struct{ Pod *corev1.Pod }

	// StopSandbox removes the sandbox and frees the address; answered by
	// SandboxGone. All its containers have ended.
	StopSandbox struct{ Pod types.UID }

	// StartContainer creates and starts a container in the pod's sandbox; answered
	// by ContainerStarted and later by one ContainerExited. It shares the processes
	// of Target, if that has a name, or is not started.
	StartContainer struct {
		ID        ContainerID
		Pod       *corev1.Pod
		Container *corev1.Container
		Target    ContainerID
	}

	// KillContainer asks a container to stop: TERM now, KILL after Grace. Answered
	// by its ContainerExited. A second one with a shorter grace replaces the first.
	KillContainer struct {
		ID    ContainerID
		Grace time.Duration
	}

	// RunHook runs a container's postStart or preStop handler; answered by HookDone.
	RunHook struct {
		ID      ContainerID
		Pod     *corev1.Pod
		Handler *corev1.LifecycleHandler
		Pre     bool
	}

	// RunProbe runs one probe now; answered by ProbeAnswered within the timeout.
	RunProbe struct {
		ID      ContainerID
		Pod     *corev1.Pod
		Kind    ProbeKind
		Probe   *corev1.Probe
		Timeout time.Duration
	}

	// StopProbes withdraws what a Steady answer vouched for: the container's
	// probes no longer matter.
	StopProbes struct{ ID ContainerID }

	// Write sends a write to the API server; answered by Wrote with its Tag. A lost
	// connection is an error, too.
	Write struct {
		Tag     uint64
		Request api.Request
	}

	// Say records an event for people.
	Say struct{ Note api.Note }

	// WakeAt asks for Woken at a time. There is one alarm: a later WakeAt replaces
	// an earlier one, and a zero time cancels it.
	WakeAt struct{ At time.Time }
)

func (Booted) input()           {}
func (Adopted) input()          {}
func (ImagesSeen) input()       {}
func (SandboxLost) input()      {}
func (HostSeen) input()         {}
func (Evict) input()            {}
func (NodeSeen) input()         {}
func (PodSeen) input()          {}
func (PodGone) input()          {}
func (ImagePulled) input()      {}
func (SandboxReady) input()     {}
func (SandboxGone) input()      {}
func (ContainerStarted) input() {}
func (ContainerExited) input()  {}
func (HookDone) input()         {}
func (ProbeAnswered) input()    {}
func (Wrote) input()            {}
func (Woken) input()            {}

func (PullImage) effect()      {}
func (MakeSandbox) effect()    {}
func (StopSandbox) effect()    {}
func (StartContainer) effect() {}
func (KillContainer) effect()  {}
func (RunHook) effect()        {}
func (RunProbe) effect()       {}
func (StopProbes) effect()     {}
func (Write) effect()          {}
func (Say) effect()            {}
func (WakeAt) effect()         {}
