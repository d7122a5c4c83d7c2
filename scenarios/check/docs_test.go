package check

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/scenarios"
)

// TestDocumentation: the examples of docs/CHECKS.md are valid, and every function
// is described there.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/CHECKS.md")
	require.NoError(t, err)
	blocks := strings.Split(string(text), "```")
	n := 0
	for i := 1; i < len(blocks); i += 2 {
		checks, ok := strings.CutPrefix(blocks[i], "yaml\n")
		if !ok {
			continue
		}
		file := "apiVersion: seatrial.dev/v1alpha1\nkind: Scenario\nmetadata: {name: docs}\nspec:\n  duration: 10m\n" +
			"  cluster: {nodeGroups: [{name: w, count: 1}]}\n  " + strings.ReplaceAll(strings.TrimSpace(checks), "\n", "\n  ") + "\n"
		scn, err := scenarios.Parse("CHECKS.md", []byte(file))
		require.NoError(t, err, file)
		_, err = New(scn)
		require.NoError(t, err, file)
		n += len(scn.Checks)
	}
	require.GreaterOrEqual(t, n, 6)
	for _, f := range []string{"get", "ready", "restarts", "condition", "quantity"} {
		require.Contains(t, string(text), "| `"+f+"(")
	}
}
