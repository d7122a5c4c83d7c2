package config

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// These types are an old policy file (kind Policy, v1) as it is written.

// What an old policy file begins with.
const (
	policyKind    = "Policy"
	policyVersion = "v1"
)

type filePolicy struct {
	metav1.TypeMeta                `json:""`
	Metadata                       any              `json:"metadata"`
	Predicates                     []filePredicate  `json:"predicates"`
	Priorities                     []filePriority   `json:"priorities"`
	Extenders                      []policyExtender `json:"extenders"`
	HardPodAffinitySymmetricWeight int32            `json:"hardPodAffinitySymmetricWeight"`
	AlwaysCheckAllPredicates       bool             `json:"alwaysCheckAllPredicates"`
}

type filePredicate struct {
	Name     string             `json:"name"`
	Argument *predicateArgument `json:"argument"`
}

type predicateArgument struct {
	ServiceAffinity *labelList      `json:"serviceAffinity"`
	LabelsPresence  *labelsPresence `json:"labelsPresence"`
}

type labelList struct {
	Labels []string `json:"labels"`
}

type labelsPresence struct {
	Labels   []string `json:"labels"`
	Presence bool     `json:"presence"`
}

type filePriority struct {
	Name     string            `json:"name"`
	Weight   int64             `json:"weight"`
	Argument *priorityArgument `json:"argument"`
}

type priorityArgument struct {
	ServiceAntiAffinity               *oneLabel        `json:"serviceAntiAffinity"`
	LabelPreference                   *labelPreference `json:"labelPreference"`
	RequestedToCapacityRatioArguments *ratioArguments  `json:"requestedToCapacityRatioArguments"`
}

type oneLabel struct {
	Label string `json:"label"`
}

type labelPreference struct {
	Label    string `json:"label"`
	Presence bool   `json:"presence"`
}

type ratioArguments struct {
	Shape     []point         `json:"shape"`
	Resources []resourceScore `json:"resources"`
}

type policyExtender struct {
	URLPrefix        string        `json:"urlPrefix"`
	FilterVerb       string        `json:"filterVerb"`
	PreemptVerb      string        `json:"preemptVerb"`
	PrioritizeVerb   string        `json:"prioritizeVerb"`
	Weight           int64         `json:"weight"`
	BindVerb         string        `json:"bindVerb"`
	EnableHTTPS      bool          `json:"enableHttps"`
	TLSConfig        *fileTLS      `json:"tlsConfig"`
	HTTPTimeout      int64         `json:"httpTimeout"` // nanoseconds
	NodeCacheCapable bool          `json:"nodeCacheCapable"`
	ManagedResources []fileManaged `json:"managedResources"`
	Ignorable        bool          `json:"ignorable"`
}
