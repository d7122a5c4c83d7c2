package scenarios

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// These types are the scenario file as it is written.

// APIVersion and FileKind are what a scenario file begins with.
const (
	APIVersion = "seatrial.dev/v1alpha1"
	FileKind   = "Scenario"
)

type fileScenario struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   fileMeta `json:"metadata"`
	Spec       fileSpec `json:"spec"`
}

type fileMeta struct {
	Name        string            `json:"name"`
	Annotations map[string]string `json:"annotations"`
	Labels      map[string]string `json:"labels"`
}

type fileSpec struct {
	Seed      uint64        `json:"seed"`
	Duration  duration      `json:"duration"`
	Start     *date         `json:"start"`
	Cluster   fileCluster   `json:"cluster"`
	Workload  *fileWorkload `json:"workload"`
	Manifests []any         `json:"manifests"`
	Images    []fileImage   `json:"images"`
	Timeline  []fileEntry   `json:"timeline"`
	Checks    []fileCheck   `json:"checks"`
}

type fileCluster struct {
	Network    fileNetwork `json:"network"`
	NodeGroups []fileGroup `json:"nodeGroups"`
	Scheduler  string      `json:"scheduler"` // a file beside this one
}

type fileNetwork struct {
	ServiceCIDR       string      `json:"serviceCIDR"`
	PodCIDR           string      `json:"podCIDR"`
	NodePorts         string      `json:"nodePorts"`
	Latency           fileLatency `json:"latency"`
	RegistryBandwidth *quantity   `json:"registryBandwidth"`
}

type fileLatency struct {
	SameZone  *duration `json:"sameZone"`
	CrossZone *duration `json:"crossZone"`
	Jitter    *int64    `json:"jitterPercent"`
}

type fileGroup struct {
	Name        string              `json:"name"`
	Count       int32               `json:"count"`
	Zones       []string            `json:"zones"`
	Labels      map[string]string   `json:"labels"`
	Annotations map[string]string   `json:"annotations"`
	Taints      []corev1.Taint      `json:"taints"`
	Capacity    map[string]quantity `json:"capacity"`
	Allocatable map[string]quantity `json:"allocatable"`
}

type fileImage struct {
	Match          string      `json:"match"`
	Size           *quantity   `json:"size"`
	Startup        *duration   `json:"startup"`
	ReadyAfter     duration    `json:"readyAfter"`
	RunFor         duration    `json:"runFor"`
	ExitCode       int32       `json:"exitCode"`
	StopAfter      duration    `json:"stopAfter"`
	UnhealthyAfter duration    `json:"unhealthyAfter"`
	PullError      string      `json:"pullError"`
	StartError     string      `json:"startError"`
	Memory         *fileMemory `json:"memory"`
	Logs           []fileLog   `json:"logs"`
}

type fileLog struct {
	At    duration `json:"at"`
	Every duration `json:"every"`
	Line  string   `json:"line"`
}

type fileMemory struct {
	Start  quantity `json:"start"`
	Growth growth   `json:"growth"`
}

type fileEntry struct {
	At    duration `json:"at"`
	Every duration `json:"every"`
	Times int32    `json:"times"`

	Apply    any           `json:"apply"`
	Delete   *fileDelete   `json:"delete"`
	Patch    *filePatch    `json:"patch"`
	Scale    *fileScale    `json:"scale"`
	SetImage *fileSetImage `json:"setImage"`
	Crash    *fileNode     `json:"crash"`
	Restart  *fileNode     `json:"restart"`
	Freeze   *fileNode     `json:"freeze"`
	Thaw     *fileNode     `json:"thaw"`
	Cut      *fileLinks    `json:"cut"`
	Heal     *fileLinks    `json:"heal"`
	Cordon   *fileNode     `json:"cordon"`
	Uncordon *fileNode     `json:"uncordon"`
	Drain    *fileDrain    `json:"drain"`
	Request  *fileRequest  `json:"request"`
}

// fileRequest is a write as a recording keeps it.
type fileRequest struct {
	Verb               string `json:"verb"`
	Object             string `json:"object"`
	Subresource        string `json:"subresource,omitempty"`
	Body               any    `json:"body,omitempty"`
	PatchType          string `json:"patchType,omitempty"`
	Patch              string `json:"patch,omitempty"`
	Node               string `json:"node,omitempty"`
	Replicas           int32  `json:"replicas,omitempty"`
	UID                string `json:"uid,omitempty"`
	ResourceVersion    string `json:"resourceVersion,omitempty"`
	GracePeriodSeconds *int64 `json:"gracePeriodSeconds,omitempty"`
	Propagation        string `json:"propagation,omitempty"`
	Owners             bool   `json:"owners,omitempty"`
}

type fileNode struct {
	Node string `json:"node"`
}

type fileDelete struct {
	Object             string `json:"object"`
	Propagation        string `json:"propagation"`
	GracePeriodSeconds *int64 `json:"gracePeriodSeconds"`
}

type filePatch struct {
	Object string `json:"object"`
	Type   string `json:"type"`
	Patch  any    `json:"patch"`
}

type fileScale struct {
	Object   string `json:"object"`
	Replicas *int32 `json:"replicas"`
}

type fileSetImage struct {
	Object    string `json:"object"`
	Container string `json:"container"`
	Image     string `json:"image"`
}

type fileLinks struct {
	Node   string   `json:"node"`
	From   []string `json:"from"`
	To     []string `json:"to"`
	OneWay bool     `json:"oneWay"`
}

type fileDrain struct {
	Node               string `json:"node"`
	IgnoreDaemonSets   *bool  `json:"ignoreDaemonSets"`
	GracePeriodSeconds *int64 `json:"gracePeriodSeconds"`
}

type fileCheck struct {
	Name       string    `json:"name"`
	Eventually string    `json:"eventually"`
	Always     string    `json:"always"`
	AtEnd      string    `json:"atEnd"`
	From       *duration `json:"from"`
	By         *duration `json:"by"`
	Until      *duration `json:"until"`
}

// duration is a time span as Go writes it ("90s", "1h30m"), and days ("2d").
type duration time.Duration

func (d *duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("want a duration such as 30s, 10m or 1h30m")
	}
	v, err := parseDuration(s)
	*d = duration(v)
	return err
}

func parseDuration(s string) (time.Duration, error) {
	const day = 24 * time.Hour
	var days time.Duration
	rest := s
	if n, after, ok := strings.Cut(s, "d"); ok {
		var count int64
		if _, err := fmt.Sscanf(n+" ", "%d ", &count); err != nil || count < 0 || count > 36500 {
			return 0, fmt.Errorf("want a duration such as 30s, 10m, 1h30m or 2d")
		}
		days, rest = time.Duration(count)*day, after
		if rest == "" {
			return days, nil
		}
	}
	v, err := time.ParseDuration(rest)
	switch {
	case err != nil:
		return 0, fmt.Errorf("want a duration such as 30s, 10m, 1h30m or 2d")
	case v < 0:
		return 0, fmt.Errorf("want a duration of 0 or more")
	}
	return days + v, nil
}

// date is a calendar time.
type date struct{ time.Time }

func (d *date) UnmarshalJSON(b []byte) error {
	t, err := time.Parse(time.RFC3339, strings.Trim(string(b), `"`))
	if err != nil {
		return fmt.Errorf("want a date such as 2026-01-01T00:00:00Z")
	}
	d.Time = t
	return nil
}

// quantity is an amount as Kubernetes writes it ("4", "500m", "8Gi").
type quantity struct{ resource.Quantity }

func (q *quantity) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	v, err := resource.ParseQuantity(s)
	if err != nil {
		return fmt.Errorf("want a quantity such as 4, 500m or 8Gi")
	}
	if v.Sign() < 0 {
		return fmt.Errorf("want a quantity of 0 or more")
	}
	q.Quantity = v
	return nil
}

// growth is an amount of memory over time ("10Mi/m"), in bytes a minute.
type growth int64

func (g *growth) UnmarshalJSON(b []byte) error {
	var s string
	want := fmt.Errorf("want an amount over time such as 10Mi/m, 1Gi/h or 512Ki/s")
	if err := json.Unmarshal(b, &s); err != nil {
		return want
	}
	amount, unit, ok := strings.Cut(s, "/")
	v, err := resource.ParseQuantity(amount)
	if !ok || err != nil || v.Sign() < 0 {
		return want
	}
	switch unit {
	case "s":
		*g = growth(v.Value() * 60)
	case "m", "min":
		*g = growth(v.Value())
	case "h":
		*g = growth(v.Value() / 60)
	default:
		return want
	}
	return nil
}
