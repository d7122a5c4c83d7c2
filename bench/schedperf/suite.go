package schedperf

import (
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/sched"
)

// Suite is a workload file.
type Suite struct {
	File      string
	Workloads []*Workload // in the order of the file
}

// Workload is one test case with one set of parameters.
type Workload struct {
	Name   string   // upstream's: "SchedulingBasic/5000Nodes_10000Pods"
	Labels []string // of the test case, then its own
	// Threshold is the figure below which upstream's own run fails; 0 for none. It is
	// of Metric, in the statistic (bucket) of it that upstream compares.
	Threshold       float64
	Metric          string // "SchedulingThroughput"
	Bucket          string // "Average"
	FeatureGates    map[string]bool
	SchedulerConfig string       // path of a KubeSchedulerConfiguration; empty for the default
	Scheduler       sched.Config // what stands in it
	// Missing says what the workload needs and Seatrial has not, each with its place in
	// a file. Such a workload cannot be run.
	Missing  []string
	Warnings []string // of what is odd but no mistake

	ops []operation
}

// Match lists the workloads whose name matches; nil is all.
func (s *Suite) Match(re *regexp.Regexp) []*Workload {
	if re == nil {
		return s.Workloads
	}
	return slices.DeleteFunc(slices.Clone(s.Workloads), func(w *Workload) bool { return !re.MatchString(w.Name) })
}

// operation is one step of a workload. One type for each opcode; their fields are
// those of the file.
type operation interface {
	// resolve returns a copy with the parameters' values in, and the templates loaded.
	resolve(r *resolver) operation
	// run carries the operation out.
	run(x *run) error
}

// The fields that several operations have.
type (
	counted struct {
		Count      int    `json:"count,omitempty"`
		CountParam string `json:"countParam,omitempty"`
	}
	opcode struct {
		Opcode string `json:"opcode"`
	}
	templated struct {
		TemplateParams map[string]any `json:"templateParams,omitempty"`
	}
)

type createNodes struct {
	opcode
	counted
	templated
	NodeTemplatePath         string               `json:"nodeTemplatePath,omitempty"`
	NodeAllocatableStrategy  *allocatableStrategy `json:"nodeAllocatableStrategy,omitempty"`
	LabelNodePrepareStrategy *labelStrategy       `json:"labelNodePrepareStrategy,omitempty"`
	UniqueNodeLabelStrategy  *uniqueLabelStrategy `json:"uniqueNodeLabelStrategy,omitempty"`

	index  int
	source *manifest // nil for upstream's node without a template
}

// allocatableStrategy gives each node allocatable resources and a CSINode.
type allocatableStrategy struct {
	NodeAllocatable    map[corev1.ResourceName]string            `json:"nodeAllocatable,omitempty"`
	CSINodeAllocatable map[string]*storagev1.VolumeNodeResources `json:"csiNodeAllocatable,omitempty"`
	MigratedPlugins    []string                                  `json:"migratedPlugins,omitempty"`
}

// labelStrategy deals a label's values out to the nodes in turn.
type labelStrategy struct {
	LabelKey    string   `json:"labelKey"`
	LabelValues []string `json:"labelValues"`
}

// uniqueLabelStrategy gives each node a value of its own.
type uniqueLabelStrategy struct {
	LabelKey string `json:"labelKey"`
}

type createNamespaces struct {
	opcode
	counted
	Prefix                string `json:"prefix"`
	NamespaceTemplatePath string `json:"namespaceTemplatePath,omitempty"`

	source *manifest // nil for a namespace with nothing but a name
}

type createPods struct {
	opcode
	counted
	templated
	CountMultiplierParam              string          `json:"countMultiplierParam,omitempty"`
	SteadyState                       bool            `json:"steadyState,omitempty"`
	SteadyStateParam                  string          `json:"steadyStateParam,omitempty"`
	Duration                          metav1.Duration `json:"duration,omitzero"`
	DurationParam                     string          `json:"durationParam,omitempty"`
	CollectMetrics                    bool            `json:"collectMetrics,omitempty"`
	Namespace                         *string         `json:"namespace,omitempty"`
	PodTemplatePath                   string          `json:"podTemplatePath,omitempty"`
	SkipWaitToCompletion              bool            `json:"skipWaitToCompletion,omitempty"`
	PersistentVolumeTemplatePath      string          `json:"persistentVolumeTemplatePath,omitempty"`
	PersistentVolumeClaimTemplatePath string          `json:"persistentVolumeClaimTemplatePath,omitempty"`
	SignatureBatchSize                int             `json:"signatureBatchSize,omitempty"`
	SignatureBatchSizeParam           string          `json:"signatureBatchSizeParam,omitempty"`

	namespace string
	source    *manifest // nil for upstream's pod without a template
	volume    *manifest // nil without volumes
	claim     *manifest
}

type createPodSets struct {
	opcode
	counted
	NamespacePrefix string     `json:"namespacePrefix"`
	CreatePodsOp    createPods `json:"createPodsOp"`
}

// createObjects is createAny and createPodGroups.
type createObjects struct {
	opcode
	counted
	templated
	Namespace    string `json:"namespace,omitempty"`
	TemplatePath string `json:"templatePath"`

	source *manifest
}

type updateObjects struct {
	opcode
	counted
	Namespace       string   `json:"namespace,omitempty"`
	TemplatePath    string   `json:"templatePath"`
	UpdatePerSecond int      `json:"updatePerSecond,omitempty"`
	Subresources    []string `json:"subresources,omitempty"`

	source *manifest
}

type deletePods struct {
	opcode
	Namespace            string            `json:"namespace"`
	LabelSelector        map[string]string `json:"labelSelector,omitempty"`
	SkipWaitToCompletion bool              `json:"skipWaitToCompletion,omitempty"`
	DeletePodsPerSecond  int               `json:"deletePodsPerSecond,omitempty"`
}

type churn struct {
	opcode
	Mode                 string   `json:"mode"`
	Number               int      `json:"number,omitempty"`
	IntervalMilliseconds int64    `json:"intervalMilliseconds,omitempty"`
	Namespace            *string  `json:"namespace,omitempty"`
	TemplatePaths        []string `json:"templatePaths"`

	namespace string
	sources   []*manifest
}

// Modes of churn, and what a barrier waits for.
const (
	modeCreate     = "create"
	modeRecreate   = "recreate"
	stageScheduled = "Scheduled"
	stageAttempted = "Attempted"
)

type barrier struct {
	opcode
	Namespaces       []string          `json:"namespaces,omitempty"`
	LabelSelector    map[string]string `json:"labelSelector,omitempty"`
	StageRequirement string            `json:"stageRequirement,omitempty"`
}

type sleep struct {
	opcode
	Duration      metav1.Duration `json:"duration,omitzero"`
	DurationParam string          `json:"durationParam,omitempty"`
}

type startCollecting struct {
	opcode
	Name          string            `json:"name,omitempty"`
	Namespaces    []string          `json:"namespaces"`
	LabelSelector map[string]string `json:"labelSelector,omitempty"`
}

type stopCollecting struct{ opcode }

type startProfile struct {
	opcode
	Type     string `json:"type"`
	FilePath string `json:"filePath"`
}

type stopProfile struct {
	opcode
	Type string `json:"type"`
}

// missing stands for an operation that there is nothing to carry out with.
type missing struct{ what string }

// opcodes lists the operations by name, in the order of upstream's list; new returns
// an empty one, nil for those that Seatrial has not.
func opcodes() []struct {
	name string
	new  func() operation
} {
	return []struct {
		name string
		new  func() operation
	}{
		{"allocResourceClaims", nil},
		{"createAny", func() operation { return &createObjects{} }},
		{"createNodes", func() operation { return &createNodes{} }},
		{"createNamespaces", func() operation { return &createNamespaces{} }},
		{"createPods", func() operation { return &createPods{} }},
		{"createPodSets", func() operation { return &createPodSets{} }},
		{"deletePods", func() operation { return &deletePods{} }},
		{"createResourceClaims", nil},
		{"churn", func() operation { return &churn{} }},
		{"updateAny", func() operation { return &updateObjects{} }},
		{"barrier", func() operation { return &barrier{} }},
		{"sleep", func() operation { return &sleep{} }},
		{"startCollectingMetrics", func() operation { return &startCollecting{} }},
		{"stopCollectingMetrics", func() operation { return &stopCollecting{} }},
		{"createPodGroups", func() operation { return &createObjects{} }},
		{"startCollectingProfile", func() operation { return &startProfile{} }},
		{"stopCollectingProfile", func() operation { return &stopProfile{} }},
	}
}

func opcodeNames() string {
	var names []string
	for _, o := range opcodes() {
		names = append(names, o.name)
	}
	return strings.Join(names, ", ")
}

// Limits of a workload file and of a run.
const (
	fileBytesMax  = 4 << 20
	countMax      = 2_000_000 // objects that one operation makes, or changes
	opsMax        = 10_000    // operations of one workload, sets taken apart
	errorsMax     = 100       // mistakes told of one file
	waitMax       = 10 * time.Minute
	churnEvery    = 500 * time.Millisecond // where the file does not say
	nodeNameTries = 100
	writtenAtOnce = 512 // lists of writes handed to the cluster in one call
	stepsBetween  = writtenAtOnce / stepDecisions
)
