package schedperf

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/cluster/kinds"
)

// TestTranscripts plays testdata, each file in an empty folder; -rewrite writes the
// output. Its commands:
//
//	file name=PATH   writes a file; its text is the input
//	read [ops]       reads the input as a workload file: its workloads, and with ops
//	                 their operations as resolved
//	object name=PATH [index=N] [count=N]
//	                 makes an object of a template; the input is its parameters, JSON
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if !strings.HasSuffix(path, ".txt") {
			return
		}
		dir := t.TempDir()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var name string
			d.MaybeScanArgs(t, "name", &name)
			full := filepath.Join(dir, filepath.FromSlash(name))
			switch d.Cmd {
			case "file":
				require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
				require.NoError(t, os.WriteFile(full, []byte(d.Input+"\n"), 0o666))
				return ""
			case "read":
				s, err := readSuite(filepath.Join(dir, "suite.yaml"), []byte(d.Input+"\n"))
				return strings.ReplaceAll(show(s, err, d.HasArg("ops")), dir+"/", "")
			case "object":
				return strings.ReplaceAll(playObject(t, d, full), dir+"/", "")
			}
			d.Fatalf(t, "unknown command %s", d.Cmd)
			return ""
		})
	})
}

func show(s *Suite, err error, ops bool) string {
	if err != nil {
		return "error:\n" + err.Error() + "\n"
	}
	var b strings.Builder
	for _, w := range s.Workloads {
		fmt.Fprintf(&b, "%s labels=%v threshold=%g of %s %s gates=%v", w.Name, w.Labels, w.Threshold, w.Metric, w.Bucket, w.FeatureGates)
		if w.SchedulerConfig != "" {
			fmt.Fprintf(&b, " scheduler=%s", w.SchedulerConfig)
		}
		b.WriteByte('\n')
		for _, m := range w.Missing {
			fmt.Fprintf(&b, "  missing: %s\n", m)
		}
		for _, m := range w.Warnings {
			fmt.Fprintf(&b, "  warning: %s\n", m)
		}
		for i, o := range w.ops {
			if text, err := json.Marshal(o); ops && err == nil {
				fmt.Fprintf(&b, "  %d %s\n", i, text)
			}
		}
	}
	return b.String()
}

func playObject(t *testing.T, d *datadriven.TestData, full string) string {
	index, count := 0, 1
	d.MaybeScanArgs(t, "index", &index)
	d.MaybeScanArgs(t, "count", &count)
	params := map[string]any{}
	if d.Input != "" {
		require.NoError(t, json.Unmarshal([]byte(d.Input), &params))
	}
	r := &reader{file: full, seen: map[kinds.InputError]bool{}, manifests: map[string]*manifest{}}
	m := r.load("", full, true, 0)
	if m == nil {
		return "error: " + r.errs[0].Error() + "\n"
	}
	o, err := m.object(params, index, count)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	text, err := json.Marshal(o)
	require.NoError(t, err)
	return string(text) + "\n"
}

// TestUpstreamsOwnFiles reads every workload file of the k8s.io/kubernetes that
// SEATRIAL_KUBERNETES names, a checkout or the module; without, it is skipped. The
// repository holds none of them.
func TestUpstreamsOwnFiles(t *testing.T) {
	root := os.Getenv("SEATRIAL_KUBERNETES")
	if root == "" {
		t.Skip("SEATRIAL_KUBERNETES names no checkout of Kubernetes")
	}
	files := 0
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "test/integration/scheduler_perf"), func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Base(path) != "performance-config.yaml" {
			return err
		}
		files++
		s, err := Read(path)
		if err != nil {
			t.Error(err)
			return nil
		}
		missing := 0
		for _, w := range s.Workloads {
			if len(w.Missing) > 0 {
				missing++
			}
		}
		t.Logf("%s: %d workloads, %d of them need what is missing", path, len(s.Workloads), missing)
		return nil
	}))
	require.NotZero(t, files, "there are no workload files below %s", root)
}

// TestLimits holds the limits of a file.
func TestLimits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.yaml")
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("#\n", fileBytesMax/2+1)), 0o666))
	_, err := Read(path)
	require.ErrorContains(t, err, fmt.Sprintf("has more than %d bytes", fileBytesMax))

	r := &reader{file: path, seen: map[kinds.InputError]bool{}, manifests: map[string]*manifest{}}
	require.NoError(t, os.WriteFile(path, []byte("{{range .list}}{{$.text}}{{end}}"), 0o666))
	_, err = r.load("", path, true, 0).object(map[string]any{"list": make([]int, 5), "text": strings.Repeat("x", fileBytesMax/4)}, 0, 1)
	require.ErrorContains(t, err, fmt.Sprintf("makes more than %d bytes", fileBytesMax))

	many := func(op string) string {
		return "- name: a\n  workloads: [{name: b}]\n  workloadTemplate:\n  - {opcode: createPods, count: 1, collectMetrics: true}\n" + op
	}
	for op, want := range map[string]string{
		fmt.Sprintf("  - {opcode: createPods, count: %d}\n", countMax+1):                                                "want 0 to 2000000",
		fmt.Sprintf("  - {opcode: createPodSets, count: %d, createPodsOp: {opcode: createPods, count: 1}}\n", opsMax+1): "operations that a workload may have",
		strings.Repeat("  - {opcode: sleep, duration: 1s}\n", opsMax):                                                   "has more than 10000 operations",
		"  - {opcode: sleep, duration: 1h}\n":                                                                           "want 0s to 10m0s",
	} {
		_, err := readSuite("x.yaml", []byte(many(op)))
		require.ErrorContains(t, err, want)
	}
	_, err = readSuite("x.yaml", []byte(many(strings.Repeat("  - {opcode: walk}\n", 2*errorsMax))))
	require.Len(t, err.(interface{ Unwrap() []error }).Unwrap(), errorsMax)
}

var placed = regexp.MustCompile(`^\S+\.yaml(:\d+)?: `)

// FuzzRead: whatever the file, the answer is a suite or errors that say where. Repeat a
// finding with the command that go test prints.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"basic.yaml", "events.yaml"} {
		text, err := os.ReadFile("../workloads/" + name)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte("- name: a\n  workloadTemplate: [{opcode: createPods, countParam: $n, collectMetrics: true}]\n  workloads: [{name: b, params: {n: 1}}]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := readSuite("../workloads/fuzz.yaml", text)
		if err == nil {
			require.NotNil(t, s)
			return
		}
		list := []error{err}
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			list = many.Unwrap()
		}
		for _, e := range list {
			var in *kinds.InputError
			require.True(t, errors.As(e, &in), "%v", e)
			require.Regexp(t, placed, e.Error())
		}
	})
}

// FuzzTemplate is FuzzRead for the files with objects.
func FuzzTemplate(f *testing.F) {
	for _, name := range []string{"node.yaml", "pod.yaml", "pod-of-size.yaml", "claim.yaml"} {
		text, err := os.ReadFile("../workloads/templates/" + name)
		require.NoError(f, err)
		f.Add(text)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(dir, "x.yaml")
		require.NoError(t, os.WriteFile(path, text, 0o666))
		r := &reader{file: path, seen: map[kinds.InputError]bool{}, manifests: map[string]*manifest{}}
		m := r.load("", path, true, 0)
		if m == nil {
			require.Len(t, r.errs, 1)
			return
		}
		o, err := m.object(map[string]any{"cpu": "1"}, 1, 2)
		if err == nil {
			require.NotNil(t, o)
		}
	})
}
