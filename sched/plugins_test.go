package sched_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/sched"
	"seatrial.dev/seatrial/sched/config"
)

// TestPlugins plays the files of testdata/plugins, each of the plugin that it is named
// after: a table of cases, one a line; -rewrite writes what the plugin says. What is right
// was worked out from kube-scheduler's code, and was not copied from what ours prints.
//
// The commands take a line each of "name: {YAML}"; a line that begins with a space goes
// on with the one before.
//
//	nodes    that there are, in short: labels, taints, unschedulable, images, allocatable
//	         (4 cpu, 8Gi of memory and 10 pods, where it says nothing else)
//	pods     that have a node or are nominated for one, see podOf
//	objects  anything else, as documents of YAML
//	gone     names of nodes or of pods
//	args     the plugin's arguments, as a configuration file has them
//	config   a whole KubeSchedulerConfiguration, with all plugins it has on
//	cases    a pod a line: the nodes that can take it with the plugin's score of each,
//	         then who is refused and why; "unresolvable" if no preemption helps
//	victims  the same for preemption: the node chosen, and who would go from each
//	order    pods, "at" a second each: the order in which they are tried
func TestPlugins(t *testing.T) {
	datadriven.Walk(t, "testdata/plugins", func(t *testing.T, path string) {
		x := &table{plugin: filepath.Base(path), objects: map[kinds.Ref]kinds.Object{}}
		x.restart(t, only(x.plugin, sched.DefaultConfig()))
		datadriven.RunTest(t, path, x.play)
	})
}

// table is a scheduler with one plugin, mostly, and the cluster that it has seen.
type table struct {
	plugin  string
	cfg     sched.Config
	s       *sched.Scheduler
	objects map[kinds.Ref]kinds.Object
	order   []kinds.Ref
}

// only leaves of a configuration the plugin; all filters for DefaultPreemption.
func only(plugin string, cfg sched.Config) sched.Config {
	for i := range cfg.Profiles {
		p := &cfg.Profiles[i]
		if p.Preempts = plugin == sched.DefaultPreemption; p.Preempts {
			continue
		}
		p.Filters = slices.DeleteFunc(slices.Clone(p.Filters), func(f string) bool { return f != plugin })
		p.Scores = slices.DeleteFunc(slices.Clone(p.Scores), func(w sched.Weighted) bool { return w.Plugin != plugin })
	}
	return cfg
}

// restart shows everything to a new scheduler.
func (x *table) restart(t *testing.T, cfg sched.Config) {
	require.NoError(t, cfg.Check())
	x.cfg, x.s = cfg, sched.New(cfg)
	for _, ref := range x.order {
		x.s.See(time.Time{}, store.Event{Type: store.Added, Ref: ref, Object: x.objects[ref]}, 0)
	}
}

func (x *table) play(t *testing.T, d *datadriven.TestData) string {
	var b strings.Builder
	switch d.Cmd {
	case "nodes":
		eachLine(t, d.Input, func(name string, in map[string]any) { x.set(nodeOf(t, name, in)) })
	case "pods":
		eachLine(t, d.Input, func(name string, in map[string]any) { x.set(podOf(t, name, in)) })
	case "objects":
		for _, o := range objectsOf(t, d.Input) {
			x.set(o)
		}
	case "gone":
		x.remove(strings.Fields(d.Input))
	case "args":
		x.restart(t, only(x.plugin, read(t, fmt.Sprintf("profiles: [{pluginConfig: [{name: %s, args: %s}]}]", x.plugin, flow(t, d.Input)))))
	case "config":
		x.restart(t, read(t, d.Input))
	case "cases":
		eachLine(t, d.Input, func(name string, in map[string]any) {
			fmt.Fprintf(&b, "%s: %s\n", name, verdict(x.ask(t, podOf(t, name, in))))
		})
	case "victims":
		eachLine(t, d.Input, func(name string, in map[string]any) {
			fmt.Fprintf(&b, "%s: %s\n", name, victims(x.ask(t, podOf(t, name, in))))
		})
	case "order":
		return x.tried(t, d.Input)
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	return b.String()
}

func (x *table) set(o kinds.Object) {
	ref := kinds.RefOf(o)
	e := store.Event{Type: store.Added, Ref: ref, Object: o}
	if old := x.objects[ref]; old != nil {
		e.Type, e.Old = store.Modified, old
	} else {
		x.order = append(x.order, ref)
	}
	x.objects[ref] = o
	x.s.See(time.Time{}, e, 0)
}

// remove removes nodes and pods by their names alone.
func (x *table) remove(names []string) {
	x.order = slices.DeleteFunc(x.order, func(ref kinds.Ref) bool {
		if !slices.Contains(names, ref.Name) {
			return false
		}
		old := x.objects[ref]
		delete(x.objects, ref)
		x.s.See(time.Time{}, store.Event{Type: store.Deleted, Ref: ref, Object: old, Old: old}, 0)
		return true
	})
}

// ask has a pod explained, and decided on. Both must come to the same, and so must the
// explanation that is kept in brief.
func (x *table) ask(t *testing.T, pod *corev1.Pod) *sched.Explanation {
	if pod.Spec.NodeName != "" {
		return x.s.Explain(time.Time{}, pod) // it has a node: nothing is decided
	}
	ref := kinds.RefOf(pod)
	x.s.See(time.Time{}, store.Event{Type: store.Added, Ref: ref, Object: pod}, 0)
	e, brief := x.s.Explain(time.Time{}, pod), x.s.Brief(pod)
	for handed := (*corev1.Pod)(nil); handed != pod; { // those that are nominated wait as well
		var ok bool
		handed, _, ok = x.s.Next(time.Time{})
		require.True(t, ok, "%s was not handed out", pod.Name)
	}
	d := x.s.Decide(time.Time{}, pod)
	require.Equal(t, e.Chosen, d.Node, "%s: decided and explained", pod.Name)
	if d.Node == "" {
		require.Equal(t, e.Message, d.Message(), "%s: decided and explained", pod.Name)
	}
	require.Equal(t, e, brief.Explanation(), "%s: explained and kept in brief", pod.Name)
	x.s.See(time.Time{}, store.Event{Type: store.Deleted, Ref: ref, Object: pod, Old: pod}, 0)
	x.restart(t, x.cfg) // nothing of the decision is left: no nomination, no place in a queue
	return e
}

// verdict is a line of what the plugins said of the nodes.
func verdict(e *sched.Explanation) string {
	if e.Refused != "" {
		return "refused by " + e.Plugin + ": " + e.Refused
	}
	if len(e.Nodes) == 0 {
		return e.Message
	}
	slices.SortFunc(e.Nodes, func(a, b sched.NodeExplanation) int { return strings.Compare(a.Node, b.Node) })
	var good, reasons []string
	by := map[string][]string{}
	for _, n := range e.Nodes {
		if n.RejectedBy == "" {
			good = append(good, scored(&n))
			continue
		}
		why := strings.Join(n.Reasons, ", ")
		if n.Hopeless {
			why += ", unresolvable"
		}
		if by[why] == nil {
			reasons = append(reasons, why)
		}
		by[why] = append(by[why], n.Node)
	}
	line := strings.Join(good, " ")
	if line == "" {
		line = "none"
	}
	for _, why := range reasons {
		line += "; " + strings.Join(by[why], " ") + ": " + why
	}
	return line
}

// scored is a node and its score; with several plugins the sum.
func scored(n *sched.NodeExplanation) string {
	switch len(n.Scores) {
	case 0:
		return n.Node
	case 1:
		return fmt.Sprintf("%s=%d", n.Node, n.Scores[0].Score)
	}
	return fmt.Sprintf("%s=%d", n.Node, n.Total)
}

// victims is a line of where room would be made.
func victims(e *sched.Explanation) string {
	if e.Chosen != "" {
		return "goes to " + e.Chosen
	}
	if e.Preemption == nil || e.Preemption.Node == "" {
		if _, why, tried := strings.Cut(e.Message, "preemption: "); tried {
			return "nowhere: " + why
		}
		return "nowhere, and nobody is looked for"
	}
	line := "on " + e.Preemption.Node
	for _, c := range e.Preemption.Candidates {
		line += "; " + c.Node + ":"
		for _, v := range c.Victims {
			line += " " + strings.TrimPrefix(v, "default/")
		}
		if c.Violations > 0 {
			line += fmt.Sprintf(", %d against a budget", c.Violations)
		}
	}
	return line
}

// tried is the order in which pods are tried, and how many are held back.
func (x *table) tried(t *testing.T, input string) string {
	s, seen := sched.New(x.cfg), map[string]*corev1.Pod{}
	eachLine(t, input, func(name string, in map[string]any) {
		at, _ := in["at"].(float64)
		delete(in, "at")
		pod := podOf(t, name, in)
		e := store.Event{Type: store.Added, Ref: kinds.RefOf(pod), Object: pod}
		if old := seen[name]; old != nil {
			e.Type, e.Old = store.Modified, old
		}
		seen[name] = pod
		s.See(time.Unix(int64(at), 0), e, 0)
	})
	var names []string
	for {
		pod, _, ok := s.Next(time.Unix(1000, 0))
		if !ok {
			break
		}
		names = append(names, pod.Name)
	}
	return fmt.Sprintf("%s; %d held back\n", strings.Join(names, " "), len(seen)-len(names))
}

// read reads a configuration without its head.
func read(t *testing.T, text string) sched.Config {
	cfg, _, err := config.Read("config", []byte("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"+text))
	require.NoError(t, err)
	return cfg
}

// flow is YAML in one line.
func flow(t *testing.T, text string) string {
	j, err := yaml.YAMLToJSON([]byte(text))
	require.NoError(t, err)
	return string(j)
}

// eachLine parts the input into names and what is said of them.
func eachLine(t *testing.T, input string, take func(name string, in map[string]any)) {
	for _, line := range strings.Split(strings.ReplaceAll(strings.TrimSpace(input), "\n ", " "), "\n") {
		name, text, ok := strings.Cut(line, ": ")
		require.True(t, ok, "want NAME: {YAML}, got %q", line)
		in := map[string]any{}
		require.NoError(t, yaml.Unmarshal([]byte(text), &in), line)
		take(name, in)
	}
}

// pick takes keys out of one mapping into another that does not have them yet.
func pick(from, to map[string]any, keys ...string) map[string]any {
	for _, k := range keys {
		if v, ok := from[k]; ok {
			to[k] = v
			delete(from, k)
		}
	}
	return to
}

func nodeOf(t *testing.T, name string, in map[string]any) kinds.Object {
	has := map[string]any{"cpu": 4, "memory": "8Gi", "pods": 10}
	if more, ok := in["allocatable"].(map[string]any); ok {
		maps.Copy(has, more)
	}
	delete(in, "allocatable")
	status := pick(in, map[string]any{"allocatable": has}, "images")
	return object(t, map[string]any{"apiVersion": "v1", "kind": "Node", "status": status,
		"metadata": pick(in, map[string]any{"name": name}, "labels", "annotations"), "spec": in})
}

// podOf is a pod in short. All that is not said of it here is its spec:
//
//	namespace, labels, annotations, ownerReferences, deletionTimestamp
//	requests, ports, image             of its one container, where there are no containers
//	node, nominated, started           the node it has, or is nominated for; when it started
//	terms, prefers                     required and preferred node affinity
//	near, apart, likes, dislikes       required and preferred affinity to other pods
//	spread                             its constraints of topology spread
func podOf(t *testing.T, name string, in map[string]any) *corev1.Pod {
	meta := pick(in, map[string]any{"name": name, "namespace": "default"}, "namespace", "labels", "annotations", "ownerReferences", "deletionTimestamp")
	c := pick(in, map[string]any{"name": "c", "image": "i"}, "ports", "image")
	status := pick(in, map[string]any{}, "conditions")
	const required, preferred = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
	pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": in, "status": status}
	for short, where := range map[string][]string{
		"node":      {"spec", "nodeName"},
		"nominated": {"status", "nominatedNodeName"},
		"started":   {"status", "startTime"},
		"terms":     {"spec", "affinity", "nodeAffinity", required, "nodeSelectorTerms"},
		"prefers":   {"spec", "affinity", "nodeAffinity", preferred},
		"near":      {"spec", "affinity", "podAffinity", required},
		"apart":     {"spec", "affinity", "podAntiAffinity", required},
		"likes":     {"spec", "affinity", "podAffinity", preferred},
		"dislikes":  {"spec", "affinity", "podAntiAffinity", preferred},
		"spread":    {"spec", "topologySpreadConstraints"},
	} {
		if v, ok := in[short]; ok {
			delete(in, short)
			place(pod, v, where)
		}
	}
	if v, ok := in["requests"]; ok {
		c["resources"] = map[string]any{"requests": v}
		delete(in, "requests")
	}
	if _, ok := in["containers"]; !ok {
		in["containers"] = []any{c}
	}
	return object(t, pod).(*corev1.Pod)
}

// place sets a value deep inside a mapping.
func place(in map[string]any, v any, path []string) {
	for _, k := range path[:len(path)-1] {
		if in[k] == nil {
			in[k] = map[string]any{}
		}
		in = in[k].(map[string]any)
	}
	in[path[len(path)-1]] = v
}

func object(t *testing.T, in map[string]any) kinds.Object {
	text, err := yaml.Marshal(in)
	require.NoError(t, err)
	return objectsOf(t, string(text))[0]
}

func objectsOf(t *testing.T, text string) []kinds.Object {
	docs, err := kinds.Decode("", []byte(text))
	require.NoError(t, err)
	var out []kinds.Object
	for _, d := range docs {
		o := d.Object
		if d.Ref.Kind.Info().Namespaced && o.GetNamespace() == "" {
			o.SetNamespace("default")
		}
		if o.GetUID() == "" {
			o.SetUID(types.UID("uid-" + o.GetName()))
		}
		kinds.Default(o)
		out = append(out, o)
	}
	return out
}
