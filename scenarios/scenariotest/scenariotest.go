// Package scenariotest makes small scenarios for the tests of what reads them. No program
// uses it.
package scenariotest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/scenarios"
)

// Spec is the scenario of a minute on one node that has these lines, too, in its spec. Its
// file is s.yaml, which is not there.
func Spec(t testing.TB, lines string) *scenarios.Scenario {
	t.Helper()
	text := "apiVersion: seatrial.dev/v1alpha1\nkind: Scenario\nmetadata: {name: s}\nspec:\n  cluster: {nodeGroups: [{name: worker}]}\n  duration: 1m\n  "
	scn, err := scenarios.Parse("s.yaml", []byte(text+strings.ReplaceAll(lines, "\n", "\n  ")+"\n"))
	require.NoError(t, err)
	return scn
}
