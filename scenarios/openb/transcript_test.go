package openb

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/stretchr/testify/require"
)

// TestTranscripts plays the files of testdata; -rewrite writes their output.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			dir := t.TempDir()
			file := filepath.Join(dir, d.Cmd+".csv")
			if !d.HasArg("absent") {
				require.NoError(t, os.WriteFile(file, []byte(d.Input), 0o666))
			}
			out, err := play(d.Cmd, file)
			if err != nil {
				return strings.ReplaceAll(err.Error(), dir+"/", "") + "\n"
			}
			return out
		})
	})
}

func play(cmd, file string) (string, error) {
	var b strings.Builder
	switch cmd {
	case "nodes":
		nodes, err := ReadNodes(file)
		for i := range nodes {
			o := nodes[i].Object()
			fmt.Fprintf(&b, "%s %v %s\n", o.Name, o.Labels, amounts(o.Status.Allocatable))
		}
		return b.String(), err
	case "pods":
		pods, err := ReadPods(file)
		for i := range pods {
			p := &pods[i]
			o := p.Object("default")
			fmt.Fprintf(&b, "%s %v %v %s from %d to %d\n", o.Name, o.Labels, o.Annotations, amounts(o.Spec.Containers[0].Resources.Requests), p.CreatedSec, p.DeletedSec)
			if a := o.Spec.Affinity; a != nil {
				text, _ := yaml.Marshal(a)
				b.Write(text)
			}
		}
		return b.String(), err
	}
	return "", fmt.Errorf("unknown command %s", cmd)
}

func amounts(list corev1.ResourceList) string {
	text, _ := yaml.Marshal(list)
	return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", ", ")
}
