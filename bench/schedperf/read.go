package schedperf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
	"seatrial.dev/seatrial/sched/config"
)

// testCase and workload are a file's own shape.
type testCase struct {
	Name                           string          `json:"name"`
	FeatureGates                   map[string]bool `json:"featureGates,omitempty"`
	MetricsCollectorConfig         any             `json:"metricsCollectorConfig,omitempty"`
	WorkloadTemplate               []any           `json:"workloadTemplate"`
	Workloads                      []workload      `json:"workloads"`
	SchedulerConfigPath            string          `json:"schedulerConfigPath,omitempty"`
	DefaultPodTemplatePath         string          `json:"defaultPodTemplatePath,omitempty"`
	Labels                         []string        `json:"labels,omitempty"`
	DefaultThresholdMetricSelector *metricSelector `json:"defaultThresholdMetricSelector,omitempty"`
}

type workload struct {
	Name                    string          `json:"name"`
	Params                  map[string]any  `json:"params,omitempty"`
	Labels                  []string        `json:"labels,omitempty"`
	Threshold               any             `json:"threshold,omitempty"`
	ThresholdMetricSelector *metricSelector `json:"thresholdMetricSelector,omitempty"`
	FeatureGates            map[string]bool `json:"featureGates,omitempty"`
}

type metricSelector struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels,omitempty"`
	DataBucket  string            `json:"dataBucket,omitempty"`
	ExpectLower bool              `json:"expectLower,omitempty"`
}

// Read reads a workload file and every file that it names, relative to its own
// folder. The error is one *kinds.InputError or several joined: all that is wrong.
// What a workload needs and Seatrial has not is no error; see Workload.Missing.
func Read(path string) (*Suite, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return readSuite(path, data)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &kinds.InputError{File: path, Problem: reason(err)}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	switch {
	case err != nil:
		return nil, &kinds.InputError{File: path, Problem: reason(err)}
	case len(data) > fileBytesMax:
		return nil, &kinds.InputError{File: path, Problem: fmt.Sprintf("has more than %d bytes, the most that is read", fileBytesMax)}
	}
	return data, nil
}

// reason is a system error without the path, which stands before it already.
func reason(err error) string {
	var p *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, syscall.EISDIR):
		return "is a folder"
	case errors.As(err, &p):
		return "cannot be read: " + p.Err.Error()
	}
	return "cannot be read: " + err.Error()
}

// reader gathers a suite and what is wrong with its file.
type reader struct {
	file      string
	root      *yaml.Node
	errs      []*kinds.InputError
	seen      map[kinds.InputError]bool
	manifests map[string]*manifest
}

func readSuite(path string, data []byte) (*Suite, error) {
	roots, err := kinds.ParseYAML(path, data)
	if err != nil {
		return nil, err
	}
	if len(roots) != 1 {
		return nil, &kinds.InputError{File: path, Problem: fmt.Sprintf("want one document, a list of test cases, got %d", len(roots))}
	}
	r := &reader{file: path, root: roots[0], seen: map[kinds.InputError]bool{}, manifests: map[string]*manifest{}}
	var cases []testCase
	foldKeys(r.root, reflect.TypeOf(cases), 0)
	if err := kinds.DecodeStrict(path, r.root, "", &cases); err != nil {
		return nil, err
	}
	if len(cases) == 0 {
		r.fail("", "", "has no test cases; want a list of them, each with name, workloadTemplate and workloads")
	}
	s := &Suite{File: path}
	for i := range cases {
		r.testCase(s, &cases[i], fmt.Sprintf("[%d]", i), cases[:i])
	}
	if err := kinds.JoinInputErrors(r.errs); err != nil {
		return nil, err
	}
	return s, nil
}

// fail notes a mistake of the file, once.
func (r *reader) fail(field, value, format string, args ...any) {
	r.note(&kinds.InputError{File: r.file, Line: kinds.FindLine(r.root, field), Field: field, Value: value, Problem: fmt.Sprintf(format, args...)})
}

func (r *reader) note(e *kinds.InputError) {
	if !r.seen[*e] && len(r.errs) < errorsMax {
		r.seen[*e] = true
		r.errs = append(r.errs, e)
	}
}

// forget takes back the mistakes noted after the first n.
func (r *reader) forget(n int) {
	for _, e := range r.errs[n:] {
		delete(r.seen, *e)
	}
	r.errs = r.errs[:n]
	maps.DeleteFunc(r.manifests, func(_ string, m *manifest) bool { return m == nil })
}

// noteAll notes what another reader found.
func (r *reader) noteAll(err error) {
	var one *kinds.InputError
	switch many, ok := err.(interface{ Unwrap() []error }); {
	case ok:
		for _, e := range many.Unwrap() {
			r.noteAll(e)
		}
	case errors.As(err, &one):
		r.note(one)
	case err != nil:
		r.note(&kinds.InputError{File: r.file, Problem: err.Error()})
	}
}

func (r *reader) testCase(s *Suite, c *testCase, at string, before []testCase) {
	switch {
	case c.Name == "":
		r.fail(at+".name", "", "is required")
	case slices.ContainsFunc(before, func(b testCase) bool { return b.Name == c.Name }):
		r.fail(at+".name", c.Name, "%q is the name of an earlier test case; each needs one of its own", c.Name)
	}
	if len(c.Workloads) == 0 {
		r.fail(at+".workloads", "", "has no workloads; want at least one, with name and params")
	}
	if len(c.WorkloadTemplate) == 0 {
		r.fail(at+".workloadTemplate", "", "has no operations; want a list, each with one of the opcodes %s", opcodeNames())
	}
	ops := make([]operation, len(c.WorkloadTemplate))
	for i := range ops {
		ops[i] = r.operation(fmt.Sprintf("%s.workloadTemplate[%d]", at, i))
	}
	if slices.Contains(ops, nil) {
		return // the workloads would only repeat what is wrong
	}
	if len(ops) > 0 && !slices.ContainsFunc(ops, measures) {
		r.fail(at+".workloadTemplate", "", "nothing is measured; give a createPods collectMetrics: true, or use startCollectingMetrics and stopCollectingMetrics")
	}
	for i := range c.Workloads {
		w := &c.Workloads[i]
		wat := fmt.Sprintf("%s.workloads[%d]", at, i)
		switch {
		case w.Name == "":
			r.fail(wat+".name", "", "is required")
		case slices.ContainsFunc(c.Workloads[:i], func(b workload) bool { return b.Name == w.Name }):
			r.fail(wat+".name", w.Name, "%q is the name of an earlier workload of this test case; each needs one of its own", w.Name)
		}
		s.Workloads = append(s.Workloads, r.workload(c, w, ops, at, wat))
	}
}

func measures(o operation) bool {
	switch o := o.(type) {
	case *createPods:
		return o.CollectMetrics
	case *createPodSets:
		return o.CreatePodsOp.CollectMetrics
	case *stopCollecting:
		return true
	case *missing:
		return true
	}
	return false
}

// operation reads one operation of a template; nil when something is wrong.
func (r *reader) operation(at string) operation {
	n := kinds.FindNode(r.root, at)
	foldKeys(n, reflect.TypeFor[opcode](), 0)
	code := kinds.FindNode(r.root, at+".opcode")
	if code == nil {
		r.fail(at+".opcode", "", "is required; the opcodes are %s", opcodeNames())
		return nil
	}
	for _, o := range opcodes() {
		switch {
		case o.name != code.Value:
		case o.new == nil:
			return &missing{fmt.Sprintf("%s:%d: the operation %s", r.file, code.Line, o.name)}
		default:
			op := o.new()
			foldKeys(n, reflect.TypeOf(op), 0)
			if err := kinds.DecodeStrict(r.file, n, at, op); err != nil {
				r.noteAll(err)
				return nil
			}
			return op
		}
	}
	var names []string
	for _, o := range opcodes() {
		names = append(names, o.name)
	}
	hint := ""
	if near := kinds.Nearest(code.Value, names); near != "" {
		hint = fmt.Sprintf("did you mean %s? ", near)
	}
	r.fail(at+".opcode", code.Value, "there is no opcode %q; %sthe opcodes are %s", code.Value, hint, opcodeNames())
	return nil
}

func (r *reader) workload(c *testCase, w *workload, ops []operation, at, wat string) *Workload {
	out := &Workload{Name: c.Name + "/" + w.Name, Labels: slices.Concat(c.Labels, w.Labels),
		Metric: "SchedulingThroughput", Bucket: "Average", FeatureGates: map[string]bool{}}
	for _, gates := range []map[string]bool{c.FeatureGates, w.FeatureGates} {
		for name, on := range gates {
			out.FeatureGates[name] = on
		}
	}
	for _, m := range []*metricSelector{c.DefaultThresholdMetricSelector, w.ThresholdMetricSelector} {
		if m != nil {
			out.Metric, out.Bucket = m.Name, m.DataBucket
		}
	}
	out.Threshold = r.threshold(w.Threshold, wat+".threshold")
	r.scheduler(c, out, at+".schedulerConfigPath")
	res := &resolver{reader: r, name: out.Name, params: w.Params, used: map[string]bool{}, pods: c.DefaultPodTemplatePath, podsAt: at + ".defaultPodTemplatePath", into: out}
	before := len(r.errs)
	for i, op := range ops {
		res.at = fmt.Sprintf("%s.workloadTemplate[%d]", at, i)
		res.add(op)
	}
	if len(out.Missing) > 0 {
		r.forget(before) // a workload that cannot be run is not judged further
		return out
	}
	for _, name := range sortedKeys(w.Params) {
		if field := wat + ".params." + name; !res.used[name] {
			w := &kinds.InputError{File: r.file, Line: kinds.FindLine(r.root, field), Field: field, Value: name,
				Problem: "no operation uses the parameter; take it out, or name it in one as $" + name}
			out.Warnings = append(out.Warnings, w.Error())
		}
	}
	return out
}

// scheduler reads the scheduler configuration that a test case names.
func (r *reader) scheduler(c *testCase, out *Workload, at string) {
	out.Scheduler = sched.DefaultConfig()
	if c.SchedulerConfigPath == "" {
		return
	}
	out.SchedulerConfig = r.beside(c.SchedulerConfigPath)
	text, err := os.ReadFile(out.SchedulerConfig)
	if err != nil {
		r.fail(at, c.SchedulerConfigPath, "%s: %s", out.SchedulerConfig, reason(err))
		return
	}
	cfg, warnings, err := config.Read(out.SchedulerConfig, text)
	if err != nil {
		r.noteAll(err)
		return
	}
	out.Scheduler, out.Warnings = cfg, append(out.Warnings, warnings...)
}

// threshold is a number, or numbers by upstream's topics, of which the least is told.
func (r *reader) threshold(v any, at string) float64 {
	const want = "want a number of at least 0, or a map of such numbers by topic"
	switch v := v.(type) {
	case nil:
		return 0
	case float64:
		if v < 0 {
			r.fail(at, fmt.Sprint(v), "%v is negative; %s", v, want)
		}
		return v
	case map[string]any:
		least := math.Inf(1)
		for _, topic := range sortedKeys(v) {
			n, ok := v[topic].(float64)
			if !ok || n < 0 {
				r.fail(at+"."+topic, fmt.Sprint(v[topic]), "%v is no threshold; %s", v[topic], want)
				return 0
			}
			least = min(least, n)
		}
		if len(v) == 0 {
			return 0
		}
		return least
	}
	r.fail(at, fmt.Sprint(v), "%v is no threshold; %s", v, want)
	return 0
}

func (r *reader) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(r.file), filepath.FromSlash(path))
}

// resolver puts a workload's parameters into its operations.
type resolver struct {
	*reader
	name   string // of the workload
	params map[string]any
	used   map[string]bool
	pods   string // default path of pods' templates
	podsAt string // and where it stands
	at     string // the operation
	into   *Workload
}

// add appends an operation to the workload, sets of pods taken apart.
func (r *resolver) add(op operation) {
	if len(r.into.ops) >= opsMax {
		r.fail(r.at, "", "workload %s has more than %d operations", r.name, opsMax)
		return
	}
	sets, ok := op.(*createPodSets)
	if !ok {
		r.into.ops = append(r.into.ops, op.resolve(r))
		return
	}
	n := r.count(sets.counted, "count")
	if n > opsMax {
		r.fail(r.at+".count", fmt.Sprint(n), "%d sets are more than the %d operations that a workload may have", n, opsMax)
		return
	}
	at := r.at
	r.at += ".createPodsOp"
	for i := range n {
		ns := fmt.Sprintf("%s-%d", sets.NamespacePrefix, i)
		pods := sets.CreatePodsOp
		pods.Namespace = &ns
		r.into.ops = append(r.into.ops, pods.resolve(r))
	}
	r.at = at
}

// lack notes something that Seatrial has not.
func (r *resolver) lack(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if !slices.Contains(r.into.Missing, what) {
		r.into.Missing = append(r.into.Missing, what)
	}
}

// wrong notes a mistake in a field of the operation.
func (r *resolver) wrong(field, value, format string, args ...any) {
	r.fail(r.at+"."+field, value, format, args...)
}

// param looks up a reference like $initNodes.
func (r *resolver) param(field, ref string) (any, bool) {
	name, ok := strings.CutPrefix(ref, "$")
	if !ok {
		r.wrong(field, ref, "%q is no reference to a parameter; want a dollar sign and its name, as $initNodes", ref)
		return nil, false
	}
	v, ok := r.params[name]
	if !ok {
		known := "it has none"
		if len(r.params) > 0 {
			known = "it has " + strings.Join(sortedKeys(r.params), ", ")
		}
		r.wrong(field, ref, "workload %s has no parameter %s; %s", r.name, name, known)
		return nil, false
	}
	r.used[name] = true
	return v, true
}

// whole is a parameter that is a number of things.
func (r *resolver) whole(field, ref string) int {
	v, ok := r.param(field, ref)
	if !ok {
		return 0
	}
	f, ok := v.(float64)
	if !ok || f != math.Trunc(f) || f < 0 || f > countMax {
		r.wrong(field, ref, "the parameter is %v in workload %s; want a whole number from 0 to %d", v, r.name, countMax)
		return 0
	}
	return int(f)
}

func (r *resolver) count(c counted, field string) int {
	if c.CountParam != "" {
		return r.whole(field+"Param", c.CountParam)
	}
	if c.Count < 0 || c.Count > countMax {
		r.wrong(field, fmt.Sprint(c.Count), "%d is out of range; want 0 to %d", c.Count, countMax)
		return 0
	}
	return c.Count
}

func (r *resolver) duration(field, ref string, into *time.Duration) {
	if ref == "" {
		return
	}
	v, ok := r.param(field, ref)
	if !ok {
		return
	}
	text, ok := v.(string)
	d, err := time.ParseDuration(text)
	if !ok || err != nil {
		r.wrong(field, ref, "the parameter is %v in workload %s; want a duration such as 10s", v, r.name)
	}
	*into = d
}

func (r *resolver) flag(field, ref string, into *bool) {
	if ref == "" {
		return
	}
	v, ok := r.param(field, ref)
	if !ok {
		return
	}
	if *into, ok = v.(bool); !ok {
		r.wrong(field, ref, "the parameter is %v in workload %s; want true or false", v, r.name)
	}
}

// values resolves the parameters of a template: $name, or $name|default.
func (r *resolver) values(given map[string]any) map[string]any {
	out := make(map[string]any, len(given))
	for _, k := range sortedKeys(given) {
		out[k] = given[k]
		s, ok := given[k].(string)
		if !ok || !strings.HasPrefix(s, "$") {
			continue
		}
		field := "templateParams." + k
		name, fallback, has := strings.Cut(s, "|")
		if v, ok := r.params[name[1:]]; ok || !has {
			if v, ok = r.param(field, name); ok {
				out[k] = v
			}
			continue
		}
		var v any
		nodes, err := kinds.ParseYAML(r.file, []byte(fallback))
		if err == nil && len(nodes) == 1 {
			err = kinds.DecodeStrict(r.file, nodes[0], "", &v)
		}
		if err != nil {
			r.wrong(field, s, "the default %q of %s is not YAML", fallback, name)
		}
		out[k] = v
	}
	return out
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
