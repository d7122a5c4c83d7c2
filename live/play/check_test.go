package play

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/scenarios"
)

// TestCheck plays testdata/check: what a lab refuses of a scenario's spec.
func TestCheck(t *testing.T) {
	datadriven.RunTest(t, "testdata/check", func(t *testing.T, d *datadriven.TestData) string {
		file := filepath.Join(t.TempDir(), "s.yaml")
		text := "apiVersion: seatrial.dev/v1alpha1\nkind: Scenario\nmetadata: {name: s}\nspec:\n  cluster: {nodeGroups: [{name: worker}]}\n  duration: 1m\n  "
		text += strings.ReplaceAll(d.Input, "\n", "\n  ") + "\n"
		require.NoError(t, os.WriteFile(file, []byte(text), 0o666))
		scn, err := scenarios.Read(file)
		require.NoError(t, err)
		scn.File = "s.yaml"
		if err := Check(scn); err != nil {
			return err.Error() + "\n"
		}
		return "fine\n"
	})
}
