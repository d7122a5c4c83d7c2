package container

import (
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/live/agent/volume"
	"seatrial.dev/seatrial/nodeagent/inject"
)

// fieldsOf are all fields of a PodSpec, as TYPE.FIELD. What is within a field that skip
// names is not looked into.
func fieldsOf(skip map[string]string) map[string]bool {
	out, seen := map[string]bool{}, map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || seen[t] || !strings.HasSuffix(t.PkgPath(), "api/core/v1") {
			return
		}
		seen[t] = true
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.Anonymous {
				out[t.Name()+"."+name] = true
			}
			if verdict := skip[t.Name()+"."+name]; verdict == "" || verdict == "carried" {
				walk(f.Type)
			}
		}
	}
	walk(reflect.TypeFor[corev1.PodSpec]())
	return out
}

// TestFields: each field of a pod has a line in testdata/fields that says what this agent
// does with it, and each that it refuses has a pod in testdata/refused. A field of a
// newer API fails this test until somebody has decided.
func TestFields(t *testing.T) {
	raw, err := os.ReadFile("testdata/fields")
	require.NoError(t, err)
	verdicts := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		require.GreaterOrEqual(t, len(words), 2, line)
		require.NotContains(t, verdicts, words[0], "twice")
		require.Contains(t, []string{"carried", "refused", "others", "nothing"}, words[1], line)
		require.True(t, words[1] == "carried" || words[1] == "refused" || len(words) > 2, "%s: want whose it is, or why nothing is to be done", line)
		verdicts[words[0]] = words[1]
	}
	want := slices.Sorted(maps.Keys(fieldsOf(verdicts)))
	for _, f := range want {
		if verdicts[f] == "" {
			t.Errorf("%s: nobody has decided what becomes of this field: see testdata/fields", f)
		}
	}
	for f := range verdicts {
		if !slices.Contains(want, f) {
			t.Errorf("%s: there is no such field (any more)", f)
		}
	}
	left := maps.Clone(verdicts)
	maps.DeleteFunc(left, func(_, v string) bool { return v != "refused" })
	datadriven.RunTest(t, "testdata/refused", func(t *testing.T, d *datadriven.TestData) string {
		p := &corev1.Pod{}
		require.NoError(t, yaml.UnmarshalStrict([]byte(d.Input), p))
		for _, a := range d.CmdArgs {
			require.Equal(t, "refused", verdicts[a.Key], a.Key)
			delete(left, a.Key)
		}
		return refusals(t, p)
	})
	require.Empty(t, slices.Sorted(maps.Keys(left)), "fields that are refused, and no pod in testdata/refused asks for")
}

// TestNoSELinux: a label is for hosts that have labels.
func TestNoSELinux(t *testing.T) {
	label := &corev1.SELinuxOptions{Level: "s0:c1"}
	p := &corev1.Pod{Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{SELinuxOptions: label},
		Containers: []corev1.Container{{SecurityContext: &corev1.SecurityContext{SELinuxOptions: label}}}}}
	require.NoError(t, Host{}.RefusedPod(p))
	require.NoError(t, Host{}.Refused(p, &p.Spec.Containers[0]))
}

// refusals is what a pod is told on its way to its containers.
func refusals(t *testing.T, p *corev1.Pod) string {
	var b strings.Builder
	host := Host{SELinux: true}
	if err := host.RefusedPod(p); err != nil {
		return "pod: " + err.Error() + "\n"
	}
	for i := range p.Spec.Volumes {
		of := &corev1.Pod{}
		of.Spec.Volumes = p.Spec.Volumes[i : i+1]
		if err := volume.Setup(t.TempDir(), &inject.About{Pod: of}, &inject.Objects{}, false); err != nil && !strings.Contains(err.Error(), "not found") {
			b.WriteString("volume: " + err.Error() + "\n")
		}
	}
	containers := slices.Clone(p.Spec.Containers)
	for _, c := range p.Spec.EphemeralContainers {
		containers = append(containers, corev1.Container(c.EphemeralContainerCommon))
	}
	for i := range containers {
		if err := host.Refused(p, &containers[i]); err != nil {
			b.WriteString("container: " + err.Error() + "\n")
		}
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}
