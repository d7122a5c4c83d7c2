package inject

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

// TestTranscripts plays testdata/*: "objects" are those that the world has found, "env"
// prints the environment of the first container of a pod, "files" those of its first
// volume, "wanted" what both need.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		objects := &Objects{ConfigMaps: map[string]*corev1.ConfigMap{}, Secrets: map[string]*corev1.Secret{}, Tokens: map[Token]string{{"", 3600}: "TOKEN", {"vault", 600}: "OTHER"}}
		var services []*corev1.Service
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "map":
				m := &corev1.ConfigMap{}
				require.NoError(t, yaml.UnmarshalStrict([]byte(d.Input), m))
				objects.ConfigMaps[m.Name] = m
				return ""
			case "secret":
				s := &corev1.Secret{}
				require.NoError(t, yaml.UnmarshalStrict([]byte(d.Input), s))
				objects.Secrets[s.Name] = s
				return ""
			case "service":
				s := &corev1.Service{}
				require.NoError(t, yaml.UnmarshalStrict([]byte(d.Input), s))
				services = append(services, s)
				return ""
			}
			p := &corev1.Pod{}
			require.NoError(t, yaml.UnmarshalStrict([]byte(d.Input), p))
			if p.Namespace == "" {
				p.Namespace = "shop"
			}
			p.Name, p.UID, p.Spec.NodeName, p.Spec.ServiceAccountName = "p", "uid-1", "n1", "robot"
			a := &About{Pod: p, PodIPs: []string{"10.0.0.5", "fd00::5"}, HostIPs: []string{"192.168.0.1"}, Allocatable: corev1.ResourceList{"cpu": resource.MustParse("4"), "memory": resource.MustParse("8Gi")}}
			switch d.Cmd {
			case "env":
				return printEnv(a, objects, services)
			case "files":
				return printFiles(a, objects)
			case "wanted":
				return fmt.Sprintf("env %+v\nvolumes %+v\n", EnvWanted(&p.Spec.Containers[0]), VolumesWanted(p))
			}
			t.Fatalf("there is no command %s", d.Cmd)
			return ""
		})
	})
}

func printEnv(a *About, objects *Objects, services []*corev1.Service) string {
	e, err := MakeEnv(a, &a.Pod.Spec.Containers[0], objects, ServicesFor(a.Pod, services))
	if err != nil {
		return err.Error() + "\n"
	}
	return strings.Join(e.List(), "\n") + "\n"
}

func printFiles(a *About, objects *Objects) string {
	files, err := Payload(a, &a.Pod.Spec.Volumes[0], objects)
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		fmt.Fprintf(&b, "%s %#o %q", name, f.Mode, f.Data)
		if f.Token {
			b.WriteString(" token")
		}
		b.WriteByte('\n')
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

// TestExpandKeepsOtherText: whatever a text is, without $ nothing is changed, and no text
// makes it fail.
func TestExpandKeepsOtherText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("$()aA_ ü"))).Draw(t, "text")
		none := func(string) (string, bool) { return "", false }
		got := Expand(text, none)
		if !strings.Contains(text, "$$") && got != text {
			t.Fatalf("%q became %q", text, got)
		}
		if len(got) > len(text) {
			t.Fatalf("%q grew to %q", text, got)
		}
	})
}

func TestLimits(t *testing.T) {
	files := payload{}
	for i := range PayloadFilesMax + 1 {
		files[fmt.Sprint("f", i)] = File{}
	}
	require.ErrorContains(t, files.check(), "PayloadFilesMax")
	require.ErrorContains(t, payload{"a": {Data: make([]byte, PayloadBytesMax+1)}}.check(), "PayloadBytesMax")
}
