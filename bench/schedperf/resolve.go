package schedperf

import (
	"fmt"
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"seatrial.dev/seatrial/cluster/kinds"
)

// ordinal is the number of the operation that is being resolved: upstream names nodes
// and namespaces by it.
func (r *resolver) ordinal() int { return len(r.into.ops) }

// namespace is the one given, or upstream's "namespace-<number of the operation>".
func (r *resolver) namespace(given *string) string {
	if given == nil {
		return fmt.Sprintf("namespace-%d", r.ordinal())
	}
	r.namespaceName("namespace", *given)
	return *given
}

func (r *resolver) namespaceName(field, name string) {
	if errs := validation.IsDNS1123Label(name); len(errs) > 0 {
		r.wrong(field, name, "%q is no name of a namespace: %s", name, errs[0])
	}
}

func (r *resolver) selector(set map[string]string) {
	if _, err := labels.ValidatedSelectorFromSet(set); err != nil {
		r.wrong("labelSelector", fmt.Sprint(set), "is no set of labels: %v", err)
	}
}

func (r *resolver) perSecond(field string, n int) {
	if n < 0 || n > countMax {
		r.wrong(field, fmt.Sprint(n), "%d is out of range; want 0 (all at once) to %d", n, countMax)
	}
}

func (o createNodes) resolve(r *resolver) operation {
	o.index = r.ordinal()
	o.Count = r.count(o.counted, "count")
	o.TemplateParams = r.values(o.TemplateParams)
	if o.NodeTemplatePath != "" {
		o.source = r.source("nodeTemplatePath", o.NodeTemplatePath, kinds.Node, true, o.TemplateParams, o.Count)
	}
	strategies := 0
	if s := o.NodeAllocatableStrategy; s != nil {
		strategies++
		for _, name := range sortedKeys(s.NodeAllocatable) {
			if v := s.NodeAllocatable[name]; !isQuantity(v) {
				r.wrong("nodeAllocatableStrategy.nodeAllocatable["+string(name)+"]", v, "%q is no quantity; want one such as 4, 500m or 32Gi", v)
			}
		}
	}
	if s := o.LabelNodePrepareStrategy; s != nil {
		strategies++
		r.labelKey("labelNodePrepareStrategy.labelKey", s.LabelKey)
		if len(s.LabelValues) == 0 {
			r.wrong("labelNodePrepareStrategy.labelValues", "", "has no values; want at least one, which the nodes get in turn")
		}
	}
	if s := o.UniqueNodeLabelStrategy; s != nil {
		strategies++
		r.labelKey("uniqueNodeLabelStrategy.labelKey", s.LabelKey)
	}
	if strategies > 1 {
		r.wrong("opcode", "", "%d node strategies are given; at most one of nodeAllocatableStrategy, labelNodePrepareStrategy and uniqueNodeLabelStrategy can be", strategies)
	}
	return &o
}

func isQuantity(s string) bool { _, err := resource.ParseQuantity(s); return err == nil }

func (r *resolver) labelKey(field, key string) {
	if errs := validation.IsQualifiedName(key); len(errs) > 0 {
		r.wrong(field, key, "%q is no key of a label: %s", key, errs[0])
	}
}

func (o createNamespaces) resolve(r *resolver) operation {
	o.Count = r.count(o.counted, "count")
	r.namespaceName("prefix", o.Prefix)
	if o.NamespaceTemplatePath != "" {
		o.source = r.source("namespaceTemplatePath", o.NamespaceTemplatePath, kinds.Namespace, false, nil, 1)
	}
	return &o
}

func (o createPods) resolve(r *resolver) operation {
	o.namespace = r.namespace(o.Namespace)
	o.Count = r.count(o.counted, "count")
	if o.CountMultiplierParam != "" {
		o.Count *= r.whole("countMultiplierParam", o.CountMultiplierParam)
		if o.Count > countMax {
			r.wrong("countMultiplierParam", o.CountMultiplierParam, "makes %d pods in workload %s; the most is %d", o.Count, r.name, countMax)
			o.Count = 0
		}
	}
	if o.SignatureBatchSizeParam != "" {
		o.SignatureBatchSize = r.whole("signatureBatchSizeParam", o.SignatureBatchSizeParam)
	}
	if o.SignatureBatchSize < 0 {
		r.wrong("signatureBatchSize", fmt.Sprint(o.SignatureBatchSize), "%d is negative; want the number of pods that share a signature", o.SignatureBatchSize)
	}
	o.SignatureBatchSize = max(1, o.SignatureBatchSize)
	r.duration("durationParam", o.DurationParam, &o.Duration.Duration)
	r.flag("steadyStateParam", o.SteadyStateParam, &o.SteadyState)
	o.TemplateParams = r.values(o.TemplateParams)
	switch {
	case o.CollectMetrics && o.SkipWaitToCompletion:
		r.wrong("skipWaitToCompletion", "true", "cannot be together with collectMetrics: what is not waited for cannot be measured")
	case o.SteadyState && o.SkipWaitToCompletion:
		r.wrong("skipWaitToCompletion", "true", "cannot be together with steadyState")
	case o.SteadyState && o.Duration.Duration <= 0:
		r.wrong("duration", o.Duration.Duration.String(), "a steady state needs a duration of more than 0, such as 10s")
	}
	if o.PodTemplatePath != "" {
		o.source = r.source("podTemplatePath", o.PodTemplatePath, kinds.Pod, true, o.TemplateParams, o.Count)
	} else if r.pods != "" {
		at := r.at // the path stands with the test case
		r.at = strings.TrimSuffix(r.podsAt, ".defaultPodTemplatePath")
		o.source = r.source("defaultPodTemplatePath", r.pods, kinds.Pod, true, o.TemplateParams, o.Count)
		r.at = at
	}
	if o.PersistentVolumeClaimTemplatePath == "" {
		return &o
	}
	o.claim = r.source("persistentVolumeClaimTemplatePath", o.PersistentVolumeClaimTemplatePath, kinds.PersistentVolumeClaim, false, nil, 1)
	if o.PersistentVolumeTemplatePath == "" {
		r.wrong("persistentVolumeTemplatePath", "", "is required with persistentVolumeClaimTemplatePath: each pod gets a claim and the volume that it is bound to")
		return &o
	}
	o.volume = r.source("persistentVolumeTemplatePath", o.PersistentVolumeTemplatePath, kinds.PersistentVolume, false, nil, 1)
	return &o
}

// resolve is never called: the reader takes sets apart.
func (o createPodSets) resolve(*resolver) operation {
	panic("schedperf: sets of pods are not resolved as one")
}

func (o createObjects) resolve(r *resolver) operation {
	if o.Opcode == "createAny" && o.CountParam == "" && kinds.FindNode(r.root, r.at+".count") == nil {
		o.Count = 1
	}
	o.Count = r.count(o.counted, "count")
	o.TemplateParams = r.values(o.TemplateParams)
	o.source = r.anyKind("templatePath", o.TemplatePath, &o.Namespace, o.TemplateParams, o.Count)
	return &o
}

// anyKind loads a template and compares its scope with the namespace given.
func (r *resolver) anyKind(field, path string, namespace *string, params map[string]any, count int) *manifest {
	if path == "" {
		r.wrong(field, "", "is required")
		return nil
	}
	m := r.source(field, path, 0, true, params, count)
	if m == nil {
		return nil
	}
	o, err := m.object(params, 0, count)
	if err != nil {
		return m // it is among the missing
	}
	switch k := kinds.Of(o); {
	case k.Info().Namespaced && *namespace == "":
		r.wrong("namespace", "", "is required: %s holds a %s, which lives in a namespace", m.path, k)
	case !k.Info().Namespaced && *namespace != "":
		r.wrong("namespace", *namespace, "must be left out: %s holds a %s, which lives in none", m.path, k)
	case *namespace != "":
		r.namespaceName("namespace", *namespace)
	}
	return m
}

func (o updateObjects) resolve(r *resolver) operation {
	if o.CountParam == "" && kinds.FindNode(r.root, r.at+".count") == nil {
		o.Count = 1
	}
	o.Count = r.count(o.counted, "count")
	r.perSecond("updatePerSecond", o.UpdatePerSecond)
	o.source = r.anyKind("templatePath", o.TemplatePath, &o.Namespace, nil, o.Count)
	for i, s := range o.Subresources {
		if s != "status" && s != "resize" {
			r.wrong(fmt.Sprintf("subresources[%d]", i), s, "there is no subresource %q to update; want status or resize", s)
		}
	}
	return &o
}

func (o deletePods) resolve(r *resolver) operation {
	r.namespaceName("namespace", o.Namespace)
	r.selector(o.LabelSelector)
	r.perSecond("deletePodsPerSecond", o.DeletePodsPerSecond)
	return &o
}

func (o churn) resolve(r *resolver) operation {
	o.namespace = r.namespace(o.Namespace)
	switch {
	case o.Mode != modeCreate && o.Mode != modeRecreate:
		r.wrong("mode", o.Mode, "there is no mode %q; want %s or %s", o.Mode, modeCreate, modeRecreate)
	case o.Number < 0 || o.Number > countMax:
		r.wrong("number", fmt.Sprint(o.Number), "%d is out of range; want 0 to %d", o.Number, countMax)
	case o.Mode == modeRecreate && o.Number == 0:
		r.wrong("number", "0", "must be at least 1 when the mode is %s: so many objects are made before they are deleted", modeRecreate)
	}
	if o.IntervalMilliseconds < 0 || o.IntervalMilliseconds > math.MaxInt32 {
		r.wrong("intervalMilliseconds", fmt.Sprint(o.IntervalMilliseconds), "%d is out of range; want 1 to %d, or 0 for %v", o.IntervalMilliseconds, math.MaxInt32, churnEvery)
	}
	if len(o.TemplatePaths) == 0 {
		r.wrong("templatePaths", "", "has no paths; want at least one file with an object")
	}
	for i, p := range o.TemplatePaths {
		if m := r.source(fmt.Sprintf("templatePaths[%d]", i), p, 0, false, nil, 1); m != nil {
			o.sources = append(o.sources, m)
		}
	}
	return &o
}

func (o barrier) resolve(r *resolver) operation {
	switch o.StageRequirement {
	case "":
		o.StageRequirement = stageScheduled
	case stageScheduled, stageAttempted:
	default:
		r.wrong("stageRequirement", o.StageRequirement, "there is no stage %q; want %s or %s", o.StageRequirement, stageScheduled, stageAttempted)
	}
	r.selector(o.LabelSelector)
	return &o
}

func (o sleep) resolve(r *resolver) operation {
	r.duration("durationParam", o.DurationParam, &o.Duration.Duration)
	if d := o.Duration.Duration; d < 0 || d > waitMax {
		r.wrong("duration", d.String(), "%v is out of range; want 0s to %v", d, waitMax)
	}
	return &o
}

func (o startCollecting) resolve(r *resolver) operation {
	if len(o.Namespaces) == 0 {
		r.wrong("namespaces", "", "has no names; want those of the namespaces whose pods are counted")
	}
	r.selector(o.LabelSelector)
	return &o
}

func (o stopCollecting) resolve(*resolver) operation { return &o }

func (o startProfile) resolve(r *resolver) operation {
	r.profile(o.Type)
	if o.FilePath == "" {
		r.wrong("filePath", "", "is required: the file that the profile is written to")
	}
	return &o
}

func (o stopProfile) resolve(r *resolver) operation {
	r.profile(o.Type)
	return &o
}

func (r *resolver) profile(kind string) {
	if !strings.EqualFold(kind, "CPU") {
		r.wrong("type", kind, "there is no profile %q; want CPU", kind)
	}
}

// resolve uses every parameter: which of them such an operation would is not known.
func (o *missing) resolve(r *resolver) operation {
	r.lack("%s", o.what)
	for name := range r.params {
		r.used[name] = true
	}
	return o
}

func (o *missing) run(*run) error { return fmt.Errorf("%s is not there", o.what) }

func (o createPodSets) run(*run) error {
	panic("schedperf: sets of pods are taken apart by the reader")
}

// podOf is upstream's pod where no template is given.
func basicPod() *corev1.Pod {
	list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("500Mi")}
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "pause", Image: "registry.k8s.io/pause:3.10.2", Ports: []corev1.ContainerPort{{ContainerPort: 80}},
		Resources: corev1.ResourceRequirements{Requests: list, Limits: list.DeepCopy()}}}}}
	pod.GenerateName = "pod-"
	return pod
}

// basicNode is upstream's node where no template is given.
func basicNode(prefix string) *corev1.Node {
	list := corev1.ResourceList{corev1.ResourcePods: resource.MustParse("110"),
		corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("32Gi")}
	node := &corev1.Node{Status: corev1.NodeStatus{Capacity: list, Allocatable: list.DeepCopy(), Phase: corev1.NodeRunning,
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}}
	node.GenerateName = prefix
	return node
}
