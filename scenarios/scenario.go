package scenarios

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
)

// Scenario is one scenario file, read and found valid.
type Scenario struct {
	File        string // as named on the command line
	Name        string
	Description string
	Seed        uint64
	Duration    time.Duration // virtual time at which the run ends
	Start       time.Time     // calendar time at which it starts; zero is the world's own
	Network     Network
	Scheduler   sched.Config
	SchedulerAt string         // the file that it was read from; "" for the default
	Nodes       []*corev1.Node // with labels, taints and capacity as their agents register them
	Objects     []kinds.Object // manifests in the order in which they are applied, defaults not filled in
	Images      []Image        // the first match wins
	Steps       []Step         // by time; steps of one time in the order of the file
	Checks      []Check
	Warnings    []string // deprecated versions and the like
}

// Network is the cluster's networks and how far apart its parties are.
type Network struct {
	ServiceCIDR              string
	PodCIDR                  string
	NodePortMin, NodePortMax int32
	LatencySameZone          time.Duration // one way
	LatencyCrossZone         time.Duration // one way
	JitterPercent            int64         // by how much a message may take longer
	RegistryBytesPerSecond   int64         // of one image pull
}

// Image says how containers of the images that match behave in simulation.
type Image struct {
	Match          string        // glob: * matches any run of characters
	SizeBytes      int64         // what a pull transfers
	Startup        time.Duration // from the start of the container until its process runs
	ReadyAfter     time.Duration // from then until its readiness and startup probes succeed
	RunFor         time.Duration // the process ends after this; 0 runs until it is stopped
	ExitCode       int32         // with RunFor
	StopAfter      time.Duration // from TERM until the process ends by itself
	UnhealthyAfter time.Duration // its liveness and readiness probes fail from then on; 0 never
	PullError      string        // every pull fails with this message
	StartError     string        // every start fails with this message
	MemoryStart    int64         // bytes
	MemoryGrowth   int64         // bytes a minute; past the container's limit it is OOM-killed
	Logs           []LogRule     // what it writes; without a rule it tells its start and its end
}

// LogRule is a line that a container writes once, or again and again.
type LogRule struct {
	At    time.Duration // since the container's start
	Every time.Duration // 0: once
	Line  string        // {n} stands for how often it was written before
}

// Step is one entry of the time line.
type Step struct {
	At     time.Duration
	Line   int // in the scenario file
	Action Action
}

// Action is what a step does. String names it as the time line does: "crash
// worker-1".
type Action interface {
	String() string
	action()
}

// The actions of a time line.
type (
	// Apply creates the objects, or changes them as kubectl apply does.
	Apply struct{ Objects []kinds.Object }

	// Delete deletes an object; the zero Propagation and Grace -1 are the defaults.
	Delete struct {
		Ref         kinds.Ref
		Propagation metav1.DeletionPropagation
		Grace       int64
	}

	// Patch patches an object.
	Patch struct {
		Ref  kinds.Ref
		Type types.PatchType
		Body []byte // JSON
	}

	// Scale sets the replicas of a workload.
	Scale struct {
		Ref      kinds.Ref
		Replicas int32
	}

	// SetImage sets the image of a container in a workload's template; container
	// "" or "*" means all of them.
	SetImage struct {
		Ref       kinds.Ref
		Container string
		Image     string
	}

	// Crash stops a node at once: everything on it is lost but its disk.
	Crash struct{ Node string }

	// Restart boots a node, after a crash or as a reboot.
	Restart struct{ Node string }

	// Freeze stops a node's processes where they are.
	Freeze struct{ Node string }

	// Thaw lets a frozen node go on.
	Thaw struct{ Node string }

	// Cut stops traffic between two groups of parties. Without To, between From and
	// all others.
	Cut struct {
		From, To []string
		OneWay   bool
	}

	// Heal takes a cut back. Without From, all of them.
	Heal struct {
		From, To []string
		OneWay   bool
	}

	// Cordon and Uncordon mark a node unschedulable or not.
	Cordon struct {
		Node string
		Undo bool
	}

	// Drain cordons a node and evicts its pods, honouring disruption budgets: a
	// refused eviction is tried again until it succeeds.
	Drain struct {
		Node             string
		IgnoreDaemonSets bool
		Grace            int64 // seconds; -1 is the pods' own
	}

	// Request is a write of a recorded run: it is made as it was then, and so is its
	// refusal, if it was refused.
	Request struct{ api.Request }
)

// ControlPlane is the name of the party that runs the API server, the controllers
// and the scheduler; Registry that of the image registry.
const (
	ControlPlane = "control-plane"
	Registry     = "registry"
)

// Mode says when a check must hold.
type Mode uint8

// The three modes of a check.
const (
	Eventually Mode = iota + 1 // at some moment in [From, By]
	Always                     // at every change in [From, Until]
	AtEnd                      // when the run ends
)

// String is the field's name in a scenario file.
func (m Mode) String() string { return [...]string{"", "eventually", "always", "atEnd"}[m] }

// Check is one check of a scenario, its expression not yet compiled.
type Check struct {
	Name string
	Mode Mode
	Expr string
	From time.Duration
	To   time.Duration // by, until, or the end
	Line int           // of the expression in the scenario file
}
