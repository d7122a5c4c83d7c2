package sched

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Names of the plugins, kube-scheduler's own
// (kubernetes.io/docs/reference/scheduling/config/#scheduling-plugins).
const (
	NodeName                        = "NodeName"
	NodeUnschedulable               = "NodeUnschedulable"
	TaintToleration                 = "TaintToleration"
	NodeAffinity                    = "NodeAffinity"
	NodePorts                       = "NodePorts"
	NodeResourcesFit                = "NodeResourcesFit"
	VolumeRestrictions              = "VolumeRestrictions"
	NodeVolumeLimits                = "NodeVolumeLimits"
	VolumeBinding                   = "VolumeBinding"
	VolumeZone                      = "VolumeZone"
	PodTopologySpread               = "PodTopologySpread"
	InterPodAffinity                = "InterPodAffinity"
	NodeResourcesBalancedAllocation = "NodeResourcesBalancedAllocation"
	ImageLocality                   = "ImageLocality"
	SchedulingGates                 = "SchedulingGates"
	PrioritySort                    = "PrioritySort"
	DefaultPreemption               = "DefaultPreemption"
	DynamicResources                = "DynamicResources"
	DefaultBinder                   = "DefaultBinder"
	GangScheduling                  = "GangScheduling"
)

// Config is what a scheduler goes by: a KubeSchedulerConfiguration, read and with
// the defaults in. Package config reads files.
type Config struct {
	Profiles       []Profile // at least one; the names differ
	InitialBackoff time.Duration
	MaxBackoff     time.Duration
	Extenders      []Extender // in the order in which they are asked
	Asker          Asker      `json:"-"` // asks them; a world sets it where there are any
}

// Profile is one scheduler by its name, with its plugins.
type Profile struct {
	Name string // spec.schedulerName of its pods
	// NodesPercent is the share of the nodes that is looked at once enough of them
	// could take the pod; 0 and 100 are all of them.
	NodesPercent int32
	Filters      []string   // in the order in which they are asked
	Scores       []Weighted // in order
	Preempts     bool       // DefaultPreemption is on
	Gangs        bool       // GangScheduling is on: a pod group's minCount holds
	// Devices says that DynamicResources is on. No pod here claims devices; but in
	// kube-scheduler the plugin has a word in the message of pods that are refused
	// before any node is looked at.
	Devices bool

	AddedAffinity *corev1.NodeAffinity // NodeAffinityArgs.addedAffinity
	Fit           FitArgs
	Balanced      []Resource // resources of NodeResourcesBalancedAllocation
	Affinity      InterPodAffinityArgs
	Spread        SpreadArgs
	VolumeShape   []ShapePoint // VolumeBindingArgs.shape, for the score of capacity; empty for none
	// PolicyArgs are the arguments of policies beyond kube-scheduler's, JSON by name.
	PolicyArgs map[string][]byte
	// Labels are the rules about nodes' labels of an old policy file.
	Labels LabelArgs
}

// Weighted is a score and its weight.
type Weighted struct {
	Plugin string
	Weight int64
}

// Resource is a resource that a score counts, and its weight.
type Resource struct {
	Name   corev1.ResourceName
	Weight int64
}

// Strategies of NodeResourcesFit.
const (
	LeastAllocated           = "LeastAllocated"
	MostAllocated            = "MostAllocated"
	RequestedToCapacityRatio = "RequestedToCapacityRatio"
)

// FitArgs are NodeResourcesFitArgs.
type FitArgs struct {
	Strategy      string
	Resources     []Resource
	Shape         []ShapePoint // of RequestedToCapacityRatio
	Ignored       []string     // extended resources that are not checked
	IgnoredGroups []string     // the same, by what stands before the slash
}

// ShapePoint is one point of a line of scores: utilization in per cent, score from 0
// to 10, both as in the configuration file.
type ShapePoint struct {
	Utilization, Score int64
}

// InterPodAffinityArgs are Kubernetes' arguments of that name.
type InterPodAffinityArgs struct {
	HardWeight              int64 // hardPodAffinityWeight
	IgnorePreferredExisting bool  // ignorePreferredTermsOfExistingPods
}

// SpreadArgs are PodTopologySpreadArgs.
type SpreadArgs struct {
	Defaults []corev1.TopologySpreadConstraint
	System   bool // defaultingType: System; Defaults are then kube-scheduler's own
}

// LabelArgs are CheckNodeLabelPresence, CalculateNodeLabelPriority and
// CheckServiceAffinity of an old policy file.
type LabelArgs struct {
	Present, Absent []string // labels that a node must bear, and must not
	Preferred       []PreferredLabel
	ServiceAffinity []string // labels whose values the pods of a service share
}

// PreferredLabel is a label that a node should, or should not, bear.
type PreferredLabel struct {
	Label    string
	Presence bool
	Weight   int64
}

// Extender is a program that is asked about nodes over HTTP. What it is asked is
// decided here; the world asks, by Asker.
type Extender struct {
	URLPrefix     string
	Filter        string // verbs: the last element of the URL's path; empty for those it has not
	Prioritize    string
	Preempt       string
	Bind          string
	Weight        int64
	Timeout       time.Duration
	Ignorable     bool
	NodeCacheable bool     // it is sent names instead of nodes
	Managed       []string // resources: only pods that ask for one are sent; empty for all
	IgnoredByFit  []string // of Managed, those that NodeResourcesFit leaves to it
	EnableHTTPS   bool
	TLSInsecure   bool
	TLSServerName string
	CAFile        string
	CertFile      string
	KeyFile       string
	CAData        []byte // instead of the files, PEM
	CertData      []byte
	KeyData       []byte
}

// ExtenderTimeout is how long an extender is waited for whose configuration says
// nothing of it.
const ExtenderTimeout = 5 * time.Second

// Default back-off of a pod that found no node.
const (
	initialBackoff = time.Second
	maxBackoff     = 10 * time.Second
)

// DefaultConfig is kube-scheduler's default configuration.
func DefaultConfig() Config {
	return Config{Profiles: []Profile{DefaultProfile()}, InitialBackoff: initialBackoff, MaxBackoff: maxBackoff}
}

// DefaultProfile is kube-scheduler's default profile
// (kubernetes.io/docs/reference/scheduling/config).
func DefaultProfile() Profile {
	even := []Resource{{corev1.ResourceCPU, 1}, {corev1.ResourceMemory, 1}}
	return Profile{
		Name: corev1.DefaultSchedulerName,
		Filters: []string{NodeName, NodeUnschedulable, TaintToleration, NodeAffinity, NodePorts, NodeResourcesFit,
			VolumeRestrictions, NodeVolumeLimits, VolumeBinding, VolumeZone, PodTopologySpread, InterPodAffinity},
		Scores: []Weighted{{TaintToleration, 3}, {NodeAffinity, 2}, {NodeResourcesFit, 1}, {VolumeBinding, 1}, {PodTopologySpread, 2},
			{InterPodAffinity, 2}, {NodeResourcesBalancedAllocation, 1}, {ImageLocality, 1}},
		Preempts: true,
		Gangs:    true,
		Devices:  true,
		Fit:      FitArgs{Strategy: LeastAllocated, Resources: even},
		Balanced: even,
		Affinity: InterPodAffinityArgs{HardWeight: 1},
		Spread: SpreadArgs{System: true, Defaults: []corev1.TopologySpreadConstraint{
			{MaxSkew: 3, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway},
			{MaxSkew: 5, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway}}},
	}
}
