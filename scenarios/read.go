package scenarios

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
	"seatrial.dev/seatrial/sched/config"
)

// Limits of a scenario.
const (
	nodesMax    = 200_000
	stepsMax    = 100_000 // after every and times
	durationMax = 10 * 365 * 24 * time.Hour
)

// Defaults of the cluster's network.
const (
	defaultServiceCIDR  = "10.96.0.0/12"
	defaultPodCIDR      = "10.244.0.0/16"
	defaultNodePorts    = "30000-32767"
	defaultRegistryRate = 100 << 20
	defaultSameZone     = 100 * time.Microsecond
	defaultCrossZone    = 500 * time.Microsecond
	defaultJitter       = 20 // per cent
)

// Read reads a scenario file and the manifests that it names. The error, if any,
// is one *kinds.InputError or several joined: everything that is wrong, in the
// order of files and lines.
func Read(file string) (*Scenario, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, &kinds.InputError{File: file, Problem: readProblem(err)}
	}
	return Parse(file, data)
}

func readProblem(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, fs.ErrPermission):
		return "the file may not be read"
	case errors.Is(err, syscall.EISDIR):
		return "is a folder; seatrial test runs all scenarios of a folder"
	}
	return err.Error()
}

// Parse is Read for a file whose text is at hand; manifests are found beside file.
func Parse(file string, data []byte) (*Scenario, error) {
	roots, err := kinds.ParseYAML(file, data)
	if err != nil {
		return nil, err
	}
	if len(roots) != 1 {
		return nil, &kinds.InputError{File: file, Problem: fmt.Sprintf("want one document of kind %s, got %d", FileKind, len(roots))}
	}
	r := &reader{file: file, root: roots[0], scn: &Scenario{File: file, Scheduler: sched.DefaultConfig()}}
	if !r.header() {
		return nil, r.err()
	}
	if err := kinds.DecodeStrict(file, r.root, "", &r.in); err != nil {
		return nil, err
	}
	r.read()
	if err := r.err(); err != nil {
		return nil, err
	}
	return r.scn, nil
}

// IsScenario says whether a YAML file is a scenario, from its apiVersion and kind.
func IsScenario(data []byte) bool {
	roots, err := kinds.ParseYAML("", data)
	if err != nil || len(roots) == 0 {
		return false
	}
	kind := kinds.FindNode(roots[0], "kind")
	version := kinds.FindNode(roots[0], "apiVersion")
	return kind != nil && version != nil && kind.Value == FileKind && strings.HasPrefix(version.Value, "seatrial.dev/")
}

type reader struct {
	file string
	root *yaml.Node
	in   fileScenario
	scn  *Scenario
	errs []*kinds.InputError
	docs []kinds.Document // of Objects
}

func (r *reader) err() error { return kinds.JoinInputErrors(r.errs) }

// fail notes an error of a field of the scenario file.
func (r *reader) fail(field, format string, args ...any) {
	e := &kinds.InputError{File: r.file, Line: kinds.FindLine(r.root, field), Field: field, Problem: fmt.Sprintf(format, args...)}
	if n := kinds.FindNode(r.root, field); n != nil && n.Kind == yaml.ScalarNode {
		e.Value = n.Value
	}
	r.errs = append(r.errs, e)
}

// include notes the errors of a manifest.
func (r *reader) include(field string, err error) {
	type many interface{ Unwrap() []error }
	var one *kinds.InputError
	if m, ok := err.(many); ok {
		for _, e := range m.Unwrap() {
			r.include(field, e)
		}
	} else if errors.As(err, &one) {
		r.errs = append(r.errs, one)
	} else {
		r.fail(field, "%v", err)
	}
}

// header looks at what kind of file this is before anything else is said of it.
func (r *reader) header() bool {
	for field, want := range map[string]string{"apiVersion": APIVersion, "kind": FileKind} { //det:ok errors are sorted by line
		n := kinds.FindNode(r.root, field)
		if n == nil || n.Value != want {
			r.fail(field, "must be %s", want)
		}
	}
	return len(r.errs) == 0
}

func (r *reader) read() {
	in, scn := &r.in, r.scn
	scn.Name, scn.Description = in.Metadata.Name, in.Metadata.Annotations["seatrial.dev/description"]
	scn.Seed, scn.Duration = in.Spec.Seed, time.Duration(in.Spec.Duration)
	if errs := validation.IsDNS1123Subdomain(scn.Name); scn.Name == "" {
		r.fail("metadata.name", "is required")
	} else if len(errs) > 0 {
		r.fail("metadata.name", "%s", strings.Join(errs, "; "))
	}
	switch {
	case scn.Duration == 0:
		r.fail("spec.duration", "is required: the virtual time at which the run ends, such as 10m")
	case scn.Duration > durationMax:
		r.fail("spec.duration", "may not be longer than %v", durationMax)
	}
	if in.Spec.Start != nil {
		scn.Start = in.Spec.Start.Time
	}
	r.network()
	r.nodes()
	r.podNetwork()
	r.scheduler()
	r.images()
	r.manifests()
	r.timeline()
	r.checks()
	if len(r.errs) == 0 {
		r.rehearse()
	}
}

func (r *reader) network() {
	in, out := &r.in.Spec.Cluster.Network, &r.scn.Network
	out.ServiceCIDR = r.cidr("serviceCIDR", in.ServiceCIDR, defaultServiceCIDR, 30)
	ports := in.NodePorts
	if ports == "" {
		ports = defaultNodePorts
	}
	lo, hi, ok := strings.Cut(ports, "-")
	a, err1 := strconv.ParseInt(lo, 10, 32)
	b, err2 := strconv.ParseInt(hi, 10, 32)
	if !ok || err1 != nil || err2 != nil || a < 1 || b > 65535 || a > b {
		r.fail("spec.cluster.network.nodePorts", "want a range of ports such as %s", defaultNodePorts)
	}
	out.NodePortMin, out.NodePortMax = int32(a), int32(b)
	out.LatencySameZone, out.LatencyCrossZone = defaultSameZone, defaultCrossZone
	if d := in.Latency.SameZone; d != nil {
		out.LatencySameZone = time.Duration(*d)
	}
	if d := in.Latency.CrossZone; d != nil {
		out.LatencyCrossZone = time.Duration(*d)
	}
	out.JitterPercent = defaultJitter
	if j := in.Latency.Jitter; j != nil {
		if out.JitterPercent = *j; *j < 0 || *j > 1000 {
			r.fail("spec.cluster.network.latency.jitterPercent", "want 0 to 1000")
		}
	}
	out.RegistryBytesPerSecond = defaultRegistryRate
	if q := in.RegistryBandwidth; q != nil {
		if out.RegistryBytesPerSecond = q.Value(); out.RegistryBytesPerSecond < 1 {
			r.fail("spec.cluster.network.registryBandwidth", "must be at least 1 byte a second")
		}
	}
}

// podNetwork is the range from which every node gets a /24. Where the file names
// none, it is the usual one, or a larger one for a cluster that has more nodes
// than that has room for.
func (r *reader) podNetwork() {
	given := r.in.Spec.Cluster.Network.PodCIDR
	nodes := len(r.scn.Nodes)
	r.scn.Network.PodCIDR = r.cidr("podCIDR", given, defaultPodCIDR, 24)
	if given == "" {
		for _, larger := range []string{"10.128.0.0/9", "64.0.0.0/6"} {
			if nodes > roomFor(r.scn.Network.PodCIDR) {
				r.scn.Network.PodCIDR = larger
			}
		}
		return
	}
	if room := roomFor(given); nodes > room {
		r.fail("spec.cluster.network.podCIDR", "has room for %d nodes (a /24 each), and there are %d; 10.128.0.0/9 has room for 32768", room, nodes)
	}
}

// roomFor is the number of /24 networks in a range.
func roomFor(cidr string) int {
	p, err := netip.ParsePrefix(cidr)
	if err != nil || p.Bits() > 24 {
		return 0
	}
	return 1 << (24 - p.Bits())
}

// scheduler reads the scheduler's configuration, a file of either kind that package
// config knows.
func (r *reader) scheduler() {
	const field = "spec.cluster.scheduler"
	name := r.in.Spec.Cluster.Scheduler
	if name == "" {
		return
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(r.file), name)
	}
	info, err := os.Stat(name)
	var data []byte
	if err == nil && info.Size() <= config.BytesMax {
		data, err = os.ReadFile(name)
	}
	switch {
	case err != nil:
		r.fail(field, "%s: %s", name, readProblem(err))
		return
	case info.Size() > config.BytesMax:
		r.fail(field, "%s has %d bytes, more than the %d that a scheduler's configuration may have", name, info.Size(), config.BytesMax)
		return
	}
	cfg, warnings, err := config.Read(name, data)
	if err != nil {
		r.include(field, err)
		return
	}
	r.scn.SchedulerAt = name
	r.scn.Scheduler, r.scn.Warnings = cfg, append(r.scn.Warnings, warnings...)
}

func (r *reader) cidr(name, value, standard string, longest int) string {
	if value == "" {
		return standard
	}
	p, err := netip.ParsePrefix(value)
	if err != nil || !p.Addr().Is4() || p.Bits() > longest {
		r.fail("spec.cluster.network."+name, "want an IPv4 network of /%d or larger, such as %s", longest, standard)
	}
	return value
}

func (r *reader) nodes() {
	groups := map[string]bool{}
	total := 0
	for i, g := range r.in.Spec.Cluster.NodeGroups {
		at := fmt.Sprintf("spec.cluster.nodeGroups[%d]", i)
		errs := validation.IsDNS1123Label(g.Name)
		switch {
		case g.Name == "":
			r.fail(at+".name", "is required")
		case len(errs) > 0:
			r.fail(at+".name", "%s", strings.Join(errs, "; "))
		case groups[g.Name]:
			r.fail(at+".name", "there is a node group of this name already")
		}
		groups[g.Name] = true
		count := g.Count
		if kinds.FindNode(r.root, at+".count") == nil {
			count = 1
		}
		if total += int(count); count < 0 || total > nodesMax {
			r.fail(at+".count", "want 0 to %d nodes in all", nodesMax)
			return
		}
		node := r.groupNode(at, g)
		for j := range int(count) {
			r.scn.Nodes = append(r.scn.Nodes, numbered(node, g, j))
		}
	}
	r.workloadNodes()
	r.uniqueNodes()
}

// uniqueNodes finds names that two groups make, such as a-1 of group "a" and of
// group "a-1".
func (r *reader) uniqueNodes() {
	seen := make(map[string]bool, len(r.scn.Nodes))
	for _, n := range r.scn.Nodes {
		if seen[n.Name] {
			field, who := "spec.cluster.nodeGroups", "two groups"
			if r.in.Spec.Workload != nil {
				field, who = "spec.workload", "two groups, or a group and the workload,"
			}
			r.fail(field, "%s make a node named %s", who, n.Name)
			return
		}
		seen[n.Name] = true
	}
	for _, reserved := range []string{ControlPlane, Registry} {
		if seen[reserved] {
			r.fail("spec.cluster.nodeGroups", "a node may not be named %s", reserved)
		}
	}
}

// groupNode is what all nodes of a group have in common.
func (r *reader) groupNode(at string, g fileGroup) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: g.Name, Labels: g.Labels, Annotations: g.Annotations}}
	n.Spec.Taints = g.Taints
	n.Status.Capacity = corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("4"),
		corev1.ResourceMemory:           resource.MustParse("16Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
		corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
	}
	for name, q := range g.Capacity {
		n.Status.Capacity[corev1.ResourceName(name)] = q.Quantity
	}
	n.Status.Allocatable = n.Status.Capacity.DeepCopy()
	for name, q := range g.Allocatable {
		n.Status.Allocatable[corev1.ResourceName(name)] = q.Quantity
	}
	check := kinds.Clone(n)
	kinds.Default(check)
	for _, e := range kinds.Validate(check) {
		if e.Field == "metadata.name" {
			continue // a stricter rule for the group's name has been checked
		}
		field := strings.TrimPrefix(strings.TrimPrefix(e.Field, "metadata."), "spec.")
		r.fail(at+"."+strings.TrimPrefix(field, "status."), "%s", e.ErrorBody())
	}
	return n
}

// numbered is node j of a group.
func numbered(group *corev1.Node, g fileGroup, j int) *corev1.Node {
	n := *group
	n.Name = fmt.Sprintf("%s-%d", g.Name, j)
	n.Labels = make(map[string]string, len(group.Labels)+2)
	for k, v := range group.Labels {
		n.Labels[k] = v
	}
	n.Labels[corev1.LabelHostname] = n.Name
	if len(g.Zones) > 0 {
		n.Labels[corev1.LabelTopologyZone] = g.Zones[j%len(g.Zones)]
	}
	return &n
}

func (r *reader) images() {
	for i, f := range r.in.Spec.Images {
		at := fmt.Sprintf("spec.images[%d]", i)
		if f.Match == "" {
			r.fail(at+".match", "is required: a pattern for image names, such as \"*/web:*\"")
		}
		m := UnknownImage()
		m.Match, m.ReadyAfter, m.RunFor, m.ExitCode = f.Match, time.Duration(f.ReadyAfter), time.Duration(f.RunFor), f.ExitCode
		m.StopAfter, m.UnhealthyAfter = time.Duration(f.StopAfter), time.Duration(f.UnhealthyAfter)
		m.PullError, m.StartError = f.PullError, f.StartError
		if f.Size != nil {
			m.SizeBytes = f.Size.Value()
		}
		if f.Startup != nil {
			m.Startup = time.Duration(*f.Startup)
		}
		if f.Memory != nil {
			m.MemoryStart, m.MemoryGrowth = f.Memory.Start.Value(), int64(f.Memory.Growth)
		}
		if f.ExitCode < 0 || f.ExitCode > 255 {
			r.fail(at+".exitCode", "want 0 to 255")
		}
		if f.ExitCode != 0 && f.RunFor == 0 {
			r.fail(at+".exitCode", "needs runFor: an image without it runs until it is stopped")
		}
		for j, l := range f.Logs {
			if l.Line == "" {
				r.fail(fmt.Sprintf("%s.logs[%d].line", at, j), "is required")
			}
			m.Logs = append(m.Logs, LogRule{time.Duration(l.At), time.Duration(l.Every), l.Line})
		}
		r.scn.Images = append(r.scn.Images, m)
	}
}

// manifests reads files, folders, globs and objects written in place.
func (r *reader) manifests() {
	for i, m := range r.in.Spec.Manifests {
		r.docs = append(r.docs, r.manifest(fmt.Sprintf("spec.manifests[%d]", i), m)...)
	}
	slices.SortStableFunc(r.docs, func(a, b kinds.Document) int { return applyOrder(a) - applyOrder(b) })
	for _, d := range r.docs {
		r.scn.Objects = append(r.scn.Objects, d.Object)
		for _, w := range d.Warnings {
			r.scn.Warnings = append(r.scn.Warnings, fmt.Sprintf("%s:%d: %s", d.File, d.Line, w))
		}
	}
}

// applyOrder lets what others need come first: namespaces, then classes and
// service accounts, then the rest as written.
func applyOrder(d kinds.Document) int {
	switch d.Ref.Kind {
	case kinds.Namespace:
		return 0
	case kinds.PriorityClass, kinds.PodGroup, kinds.StorageClass, kinds.ServiceAccount, kinds.LimitRange, kinds.ResourceQuota:
		return 1
	}
	return 2
}

func (r *reader) manifest(field string, m any) []kinds.Document {
	if pattern, ok := m.(string); ok {
		return r.files(field, pattern)
	}
	docs, err := kinds.DecodeNode(r.file, kinds.FindNode(r.root, field))
	if err != nil {
		r.include(field, err)
		return nil
	}
	return r.placed(docs)
}

func (r *reader) files(field, pattern string) []kinds.Document {
	full := pattern
	if !filepath.IsAbs(pattern) {
		full = filepath.Join(filepath.Dir(r.file), pattern)
	}
	names, err := expand(full)
	switch {
	case err != nil:
		r.fail(field, "%q: %v", pattern, err)
	case len(names) == 0:
		r.fail(field, "%q names no .yaml, .yml or .json file beside the scenario", pattern)
	}
	var docs []kinds.Document
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			r.fail(field, "%s: %s", name, readProblem(err))
			continue
		}
		d, err := kinds.Decode(name, data)
		if err != nil {
			r.include(field, err)
			continue
		}
		docs = append(docs, d...)
	}
	return r.placed(docs)
}

// expand lists the manifest files that a file name, folder or glob stands for, in
// the order of their names.
func expand(pattern string) ([]string, error) {
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return nil, errors.New("is not a valid pattern")
	}
	var out []string
	for _, m := range matches {
		info, err := os.Stat(m)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			out = append(out, m)
			continue
		}
		err = filepath.WalkDir(m, func(path string, d fs.DirEntry, err error) error {
			if ext := filepath.Ext(path); err == nil && !d.IsDir() && (ext == ".yaml" || ext == ".yml" || ext == ".json") {
				out = append(out, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	return out, nil
}

// placed puts objects without a namespace into "default", as kubectl does.
func (r *reader) placed(docs []kinds.Document) []kinds.Document {
	for i := range docs {
		d := &docs[i]
		namespaced := d.Ref.Kind.Info().Namespaced
		if namespaced && d.Ref.Namespace == "" {
			d.Object.SetNamespace(metav1.NamespaceDefault)
			d.Ref.Namespace = metav1.NamespaceDefault
		}
		if d.Ref.Name == "" && d.Object.GetGenerateName() == "" {
			r.errs = append(r.errs, &kinds.InputError{File: d.File, Line: d.Line, Field: "metadata.name", Problem: "is required"})
		}
	}
	return docs
}
