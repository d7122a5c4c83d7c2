package reference

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/validation"

	"seatrial.dev/seatrial/sched"
	"seatrial.dev/seatrial/sched/config"
)

// TestConfigurationsAreReadAlike draws configurations from a seed: both sides must take
// or refuse each, and come to the same filters and scores with the same weights.
func TestConfigurationsAreReadAlike(t *testing.T) {
	klog.SetLogger(logr.Discard())
	const files = 2000
	taken := 0 // a difference is repeated by its seed: it is the only input of drawConfig
	for seed := range uint64(files) {
		text := drawConfig(rand.New(rand.NewPCG(seed, 1)))
		ours, _, err := config.Read("x.yaml", []byte(text))
		theirs, refused := readUpstream(text)
		switch {
		case err != nil && refused == nil && (strings.Contains(err.Error(), ".args.scoringStrategy") || strings.Contains(err.Error(), ".args.ignoredResource")):
			// kube-scheduler looks at the arguments of NodeResourcesFit only where the plugin is on.
		case (err == nil) != (refused == nil):
			t.Errorf("seed %d: ours says %v, upstream %v of\n%s", seed, err, refused, text)
		case err == nil:
			taken++
			if got := tellProfiles(ours); got != theirs {
				t.Errorf("seed %d: ours, then upstream's:\n%s\n%s\n%s", seed, got, theirs, text)
			}
		}
		if t.Failed() && seed > 50 {
			break
		}
	}
	t.Logf("%d of %d files taken", taken, files)
}

// readUpstream makes kube-scheduler's profiles from a file and tells their plugins.
func readUpstream(text string) (string, error) {
	o, _, err := scheme.Codecs.UniversalDecoder().Decode([]byte(text), nil, nil)
	if err != nil {
		return "", err
	}
	cfg := o.(*schedconfig.KubeSchedulerConfiguration)
	cfg.APIVersion = "kubescheduler.config.k8s.io/v1"
	if err := validation.ValidateKubeSchedulerConfiguration(cfg); err != nil {
		return "", err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	client := fake.NewSimpleClientset()
	s, err := scheduler.New(ctx, client, informers.NewSharedInformerFactory(client, 0), nil,
		func(string) events.EventRecorderLogger { return events.NewFakeRecorder(eventsMax) }, scheduler.WithProfiles(cfg.Profiles...))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range cfg.Profiles {
		list := s.Profiles[p.SchedulerName].ListPlugins()
		absent := func(p schedconfig.Plugin) bool {
			return p.Name == "DynamicResources" || p.Name == "NodeDeclaredFeatures"
		}
		var filters []string
		for _, f := range slices.DeleteFunc(list.Filter.Enabled, absent) {
			filters = append(filters, f.Name)
		}
		var scores []sched.Weighted
		for _, f := range slices.DeleteFunc(list.Score.Enabled, absent) {
			scores = append(scores, sched.Weighted{Plugin: f.Name, Weight: int64(f.Weight)})
		}
		preempts := slices.ContainsFunc(list.PostFilter.Enabled, func(p schedconfig.Plugin) bool { return p.Name == sched.DefaultPreemption })
		fmt.Fprintln(&b, p.SchedulerName, filters, scores, preempts)
	}
	return b.String(), nil
}

func tellProfiles(cfg sched.Config) string {
	var b strings.Builder
	for _, p := range cfg.Profiles {
		fmt.Fprintln(&b, p.Name, p.Filters, p.Scores, p.Preempts)
	}
	return b.String()
}

// drawConfig draws a configuration: mostly good, with now and then a mistake.
func drawConfig(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n")
	for _, field := range []string{"percentageOfNodesToScore", "podInitialBackoffSeconds", "podMaxBackoffSeconds", "parallelism"} {
		if r.IntN(10) == 0 {
			fmt.Fprintf(&b, "%s: %d\n", field, r.IntN(150)-5)
		}
	}
	b.WriteString("profiles:\n")
	for i := range 1 + r.IntN(3) {
		fmt.Fprintf(&b, "- schedulerName: s%d\n", i-r.IntN(10)/9)
		b.WriteString("  plugins:\n    postBind: {}\n")
		for _, point := range []string{"multiPoint", "filter", "score", "preFilter", "preScore", "postFilter", "queueSort", "bind"} {
			if r.IntN(4) == 0 {
				drawPoint(r, &b, point)
			}
		}
		drawArgs(r, &b)
	}
	return b.String()
}

func drawPoint(r *rand.Rand, b *strings.Builder, point string) {
	names := []string{"NodeName", "NodeUnschedulable", "TaintToleration", "NodeAffinity", "NodePorts", "NodeResourcesFit", "VolumeRestrictions",
		"NodeVolumeLimits", "VolumeBinding", "VolumeZone", "PodTopologySpread", "InterPodAffinity"}
	switch point {
	case "multiPoint":
		names = append(names, "DefaultPreemption", "ImageLocality", "NodeResourcesBalancedAllocation", "PrioritySort", "DefaultBinder", "SchedulingGates")
	case "score", "preScore":
		names = []string{"TaintToleration", "NodeAffinity", "NodeResourcesFit", "VolumeBinding", "PodTopologySpread", "InterPodAffinity", "NodeResourcesBalancedAllocation"}
		if point == "score" {
			names = append(names, "ImageLocality")
		}
	case "postFilter":
		names = []string{"DefaultPreemption"}
	case "queueSort":
		names = []string{"PrioritySort"}
	case "bind":
		names = []string{"DefaultBinder"}
	}
	if r.IntN(20) == 0 {
		names = append(names, "Strange", "ImageLocality", "NodeName")
	}
	fmt.Fprintf(b, "    %s:\n", point)
	if r.IntN(2) == 0 {
		b.WriteString("      disabled:\n")
		for range 1 + r.IntN(3) {
			name := names[r.IntN(len(names))]
			if name == "Strange" || r.IntN(8) == 0 {
				name = "*"
			}
			fmt.Fprintf(b, "      - name: %q\n", name)
		}
	}
	if r.IntN(2) == 0 {
		b.WriteString("      enabled:\n")
		for _, k := range r.Perm(len(names))[:min(len(names), 1+r.IntN(4))] {
			fmt.Fprintf(b, "      - name: %s\n", names[k])
			if r.IntN(2) == 0 {
				fmt.Fprintf(b, "        weight: %d\n", r.IntN(200))
			}
		}
	}
}

// drawArgs draws arguments, each with values at and beyond their limits.
func drawArgs(r *rand.Rand, b *strings.Builder) {
	const head = "apiVersion: kubescheduler.config.k8s.io/v1, kind: "
	n := func(list ...int) int { return list[r.IntN(len(list))] }
	s := func(list ...string) string { return list[r.IntN(len(list))] }
	rarely := func(good, bad string) string {
		if r.IntN(8) == 0 {
			return bad
		}
		return good
	}
	drawn := []string{
		fmt.Sprintf("{name: InterPodAffinity, args: {%sInterPodAffinityArgs, hardPodAffinityWeight: %d}}", head, n(0, 1, 100, 100, 101, -1)),
		fmt.Sprintf("{name: NodeResourcesFit, args: {%sNodeResourcesFitArgs, ignoredResources: [%s], ignoredResourceGroups: [%s], scoringStrategy: {type: %s, resources: [{name: cpu, weight: %d}]}}}",
			head, rarely("example.com/a", `"a b"`), rarely("example.com", "example.com/x"), rarely(s("LeastAllocated", "MostAllocated"), s("Best", "RequestedToCapacityRatio", `""`)), n(0, 1, 100, 101, -1)),
		fmt.Sprintf("{name: NodeResourcesFit, args: {%sNodeResourcesFitArgs, scoringStrategy: {type: %s, requestedToCapacityRatio: {shape: [{utilization: %d, score: %d}, {utilization: %d, score: 10}]}}}}",
			head, rarely("RequestedToCapacityRatio", "MostAllocated"), n(0, 0, 10, -1), n(0, 0, 10, 11, -1), n(100, 100, 10, 101)),
		fmt.Sprintf("{name: NodeResourcesBalancedAllocation, args: {%sNodeResourcesBalancedAllocationArgs, resources: [{name: cpu, weight: %d}, {name: %s}]}}", head, n(0, 1, 1, 2), s("memory", "memory", "cpu")),
		fmt.Sprintf("{name: PodTopologySpread, args: {%sPodTopologySpreadArgs, defaultingType: %s, defaultConstraints: [{maxSkew: %d, topologyKey: %s, whenUnsatisfiable: %s}]}}",
			head, rarely("List", s("System", "Other")), n(1, 1, 1, 5, 0), rarely("zone", `""`), rarely(s("ScheduleAnyway", "DoNotSchedule"), "Never")),
		fmt.Sprintf("{name: VolumeBinding, args: {%sVolumeBindingArgs, bindTimeoutSeconds: %d}}", head, n(600, 600, 0, -1)),
		fmt.Sprintf("{name: DefaultPreemption, args: {%sDefaultPreemptionArgs, minCandidateNodesPercentage: %d, minCandidateNodesAbsolute: %d}}", head, n(10, 10, 0, 101), n(100, 100, 0, -1)),
		fmt.Sprintf("{name: NodeAffinity, args: {%sNodeAffinityArgs, addedAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: %s, values: [b]}]}]}}}}",
			head, rarely("In", s("Is", "Exists", "NotIn"))),
	}
	if r.IntN(3) > 0 {
		return
	}
	b.WriteString("  pluginConfig:\n")
	for range 1 + r.IntN(2) {
		b.WriteString("  - " + drawn[r.IntN(len(drawn))] + "\n")
	}
}
