package config

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// These types are a KubeSchedulerConfiguration as it is written, by the fields of
// k8s.io/kube-scheduler/config/v1. Values that stand in them before a file is read
// are the defaults.

// What a file begins with.
const (
	apiVersion = "kubescheduler.config.k8s.io/v1"
	kind       = "KubeSchedulerConfiguration"
)

type fileConfig struct {
	metav1.TypeMeta           `json:""`
	Parallelism               int32          `json:"parallelism"`
	LeaderElection            leaderElection `json:"leaderElection"`
	ClientConnection          connection     `json:"clientConnection"`
	EnableProfiling           bool           `json:"enableProfiling"`
	EnableContentionProfiling bool           `json:"enableContentionProfiling"`
	PercentageOfNodesToScore  int32          `json:"percentageOfNodesToScore"`
	PodInitialBackoffSeconds  int64          `json:"podInitialBackoffSeconds"`
	PodMaxBackoffSeconds      int64          `json:"podMaxBackoffSeconds"`
	Profiles                  []fileProfile  `json:"profiles"`
	Extenders                 []fileExtender `json:"extenders"`
	DelayCacheUntilActive     bool           `json:"delayCacheUntilActive"`
}

type leaderElection struct {
	LeaderElect       bool            `json:"leaderElect"`
	LeaseDuration     metav1.Duration `json:"leaseDuration"`
	RenewDeadline     metav1.Duration `json:"renewDeadline"`
	RetryPeriod       metav1.Duration `json:"retryPeriod"`
	ResourceLock      string          `json:"resourceLock"`
	ResourceName      string          `json:"resourceName"`
	ResourceNamespace string          `json:"resourceNamespace"`
}

type connection struct {
	Kubeconfig         string `json:"kubeconfig"`
	AcceptContentTypes string `json:"acceptContentTypes"`
	ContentType        string `json:"contentType"`
	QPS                any    `json:"qps"`
	Burst              int32  `json:"burst"`
}

type fileProfile struct {
	SchedulerName            string           `json:"schedulerName"`
	PercentageOfNodesToScore *int32           `json:"percentageOfNodesToScore"` // nil: the configuration's
	Plugins                  filePlugins      `json:"plugins"`
	PluginConfig             []filePluginArgs `json:"pluginConfig"`
}

type filePlugins struct {
	PreEnqueue         pluginSet `json:"preEnqueue"`
	QueueSort          pluginSet `json:"queueSort"`
	PreFilter          pluginSet `json:"preFilter"`
	Filter             pluginSet `json:"filter"`
	PostFilter         pluginSet `json:"postFilter"`
	PreScore           pluginSet `json:"preScore"`
	Score              pluginSet `json:"score"`
	Reserve            pluginSet `json:"reserve"`
	Permit             pluginSet `json:"permit"`
	PreBind            pluginSet `json:"preBind"`
	Bind               pluginSet `json:"bind"`
	PostBind           pluginSet `json:"postBind"`
	MultiPoint         pluginSet `json:"multiPoint"`
	PlacementGenerate  pluginSet `json:"placementGenerate"`
	PlacementScore     pluginSet `json:"placementScore"`
	PodGroupPostFilter pluginSet `json:"podGroupPostFilter"`
}

type pluginSet struct {
	Enabled  []filePlugin `json:"enabled"`
	Disabled []filePlugin `json:"disabled"`
}

// same says whether two lists name the same plugins.
func (p *pluginSet) same(q *pluginSet) bool {
	return slices.Equal(p.Enabled, q.Enabled) && slices.EqualFunc(p.Disabled, q.Disabled, func(a, b filePlugin) bool { return a.Name == b.Name })
}

type filePlugin struct {
	Name   string `json:"name"`
	Weight int32  `json:"weight"`
}

type filePluginArgs struct {
	Name string `json:"name"`
	Args any    `json:"args"` // read once the plugin is known
}

type fileExtender struct {
	URLPrefix        string          `json:"urlPrefix"`
	FilterVerb       string          `json:"filterVerb"`
	PreemptVerb      string          `json:"preemptVerb"`
	PrioritizeVerb   string          `json:"prioritizeVerb"`
	Weight           int64           `json:"weight"`
	BindVerb         string          `json:"bindVerb"`
	EnableHTTPS      bool            `json:"enableHTTPS"`
	TLSConfig        *fileTLS        `json:"tlsConfig"`
	HTTPTimeout      metav1.Duration `json:"httpTimeout"`
	NodeCacheCapable bool            `json:"nodeCacheCapable"`
	ManagedResources []fileManaged   `json:"managedResources"`
	Ignorable        bool            `json:"ignorable"`
}

type fileManaged struct {
	Name               string `json:"name"`
	IgnoredByScheduler bool   `json:"ignoredByScheduler"`
}

type fileTLS struct {
	Insecure   bool   `json:"insecure"`
	ServerName string `json:"serverName"`
	CertFile   string `json:"certFile"`
	KeyFile    string `json:"keyFile"`
	CAFile     string `json:"caFile"`
	CertData   []byte `json:"certData"`
	KeyData    []byte `json:"keyData"`
	CAData     []byte `json:"caData"`
}

// The arguments of plugins.

type preemptionArgs struct {
	metav1.TypeMeta             `json:""`
	MinCandidateNodesPercentage int32 `json:"minCandidateNodesPercentage"`
	MinCandidateNodesAbsolute   int32 `json:"minCandidateNodesAbsolute"`
}

type podAffinityArgs struct {
	metav1.TypeMeta                    `json:""`
	HardPodAffinityWeight              int32 `json:"hardPodAffinityWeight"`
	IgnorePreferredTermsOfExistingPods bool  `json:"ignorePreferredTermsOfExistingPods"`
}

type fitArgs struct {
	metav1.TypeMeta       `json:""`
	IgnoredResources      []string  `json:"ignoredResources"`
	IgnoredResourceGroups []string  `json:"ignoredResourceGroups"`
	ScoringStrategy       *strategy `json:"scoringStrategy"`
}

type strategy struct {
	Type                     string          `json:"type"`
	Resources                []resourceScore `json:"resources"`
	RequestedToCapacityRatio *ratioParam     `json:"requestedToCapacityRatio"`
}

type ratioParam struct {
	Shape []point `json:"shape"`
}

type point struct {
	Utilization int32 `json:"utilization"`
	Score       int32 `json:"score"`
}

type resourceScore struct {
	Name   string `json:"name"`
	Weight int64  `json:"weight"`
}

type balancedArgs struct {
	metav1.TypeMeta `json:""`
	Resources       []resourceScore `json:"resources"`
}

type spreadArgs struct {
	metav1.TypeMeta    `json:""`
	DefaultConstraints []corev1.TopologySpreadConstraint `json:"defaultConstraints"`
	DefaultingType     string                            `json:"defaultingType"`
}

type volumeArgs struct {
	metav1.TypeMeta    `json:""`
	BindTimeoutSeconds int64   `json:"bindTimeoutSeconds"`
	Shape              []point `json:"shape"`
}

type affinityArgs struct {
	metav1.TypeMeta `json:""`
	AddedAffinity   *corev1.NodeAffinity `json:"addedAffinity"`
}
