package config

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
)

// TestTranscripts reads the files in testdata: "read" prints what differs from the
// default configuration, the warnings, or the errors.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			cfg, warnings, err := Read("x.yaml", []byte(d.Input))
			if err != nil {
				return err.Error() + "\n"
			}
			var b strings.Builder
			for _, w := range warnings {
				b.WriteString("warning: " + w + "\n")
			}
			b.WriteString(differences(t, cfg))
			usable(cfg)
			return b.String()
		})
	})
}

// usable panics where a scheduler cannot be made from a configuration.
func usable(cfg sched.Config) {
	cfg.Asker = mute{}
	sched.New(cfg)
}

// mute asks nobody.
type mute struct{}

func (mute) Ask(*sched.Extender, string, any, any) error { return nil }

// differences prints the fields of a configuration that are not the default's, a line
// each.
func differences(t *testing.T, cfg sched.Config) string {
	var b strings.Builder
	fields := func(name string, got, standard any) {
		var g, s map[string]json.RawMessage
		for _, x := range []struct {
			from any
			into *map[string]json.RawMessage
		}{{got, &g}, {standard, &s}} {
			text, err := json.Marshal(x.from)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(text, x.into))
		}
		for _, k := range slices.Sorted(maps.Keys(g)) {
			if k != "Profiles" && string(g[k]) != string(s[k]) {
				b.WriteString(name + k + ": " + string(g[k]) + "\n")
			}
		}
	}
	fields("", cfg, sched.DefaultConfig())
	for _, p := range cfg.Profiles {
		b.WriteString("profile " + p.Name + "\n")
		standard := sched.DefaultProfile()
		standard.Name = p.Name
		fields("  ", p, standard)
	}
	return b.String()
}

// TestDefault: a file that says nothing is the default configuration.
func TestDefault(t *testing.T) {
	cfg, warnings, err := Read("x.yaml", []byte("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"))
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, sched.DefaultConfig(), cfg)
}

func TestLimits(t *testing.T) {
	const head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
	for text, want := range map[string]string{
		strings.Repeat("#", BytesMax+1):                                                                    "more than the",
		head + "profiles:\n" + strings.Repeat("- {}\n", profilesMax+1):                                     "at most 100 are allowed",
		head + "extenders:\n" + strings.Repeat("- {}\n", extendersMax+1):                                   "at most 100 are allowed",
		head + "profiles:\n- pluginConfig:\n" + strings.Repeat("  - {}\n", argumentsMax+1):                 "at most 1000 are allowed",
		head + "profiles:\n- plugins: {filter: {enabled: [" + strings.Repeat("{}, ", pluginsMax+1) + "]}}": "more than 200 plugins",
		"apiVersion: v1\nkind: Policy\npredicates:\n" + strings.Repeat("- {}\n", argumentsMax+1):           "at most 1000 are allowed",
		"apiVersion: v1\nkind: Policy\npriorities:\n" + strings.Repeat("- {}\n", argumentsMax+1):           "at most 1000 are allowed",
	} {
		_, _, err := Read("x.yaml", []byte(text))
		require.ErrorContains(t, err, want)
	}
	_, _, err := Read("x.yaml", []byte(head+"extenders:\n"+strings.Repeat("- {managedResources: ["+strings.Repeat("{name: x},", 9)+"]}\n", 50)))
	require.Len(t, err.(interface{ Unwrap() []error }).Unwrap(), errorsMax)
}

// TestUpstreamsOwnFiles reads every scheduler configuration of the k8s.io/kubernetes
// that SEATRIAL_KUBERNETES names; without, it is skipped.
func TestUpstreamsOwnFiles(t *testing.T) {
	root := os.Getenv("SEATRIAL_KUBERNETES")
	if root == "" {
		t.Skip("SEATRIAL_KUBERNETES names no checkout of Kubernetes")
	}
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "test/integration/scheduler_perf"), func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(text), "kind: "+kind) {
			_, warnings, err := Read(path, text)
			t.Log(path, warnings)
			require.NoError(t, err)
		}
		return err
	}))
}

var placed = regexp.MustCompile(`^x\.yaml(:\d+)?: `)

// FuzzRead: whatever the file, the answer is a configuration that a scheduler can be
// made from, or errors that say where. Repeat a finding with the command that go test
// prints.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/transcripts/*")
	require.NoError(f, err)
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(f, err)
		for _, part := range strings.Split(string(text), "read\n")[1:] {
			part, _, _ = strings.Cut(part, "\n----")
			f.Add([]byte(part))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, warnings, err := Read("x.yaml", text)
		if err == nil {
			usable(cfg)
			for _, w := range warnings {
				require.Regexp(t, placed, w)
			}
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
