package play_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/live/apitest"
	"seatrial.dev/seatrial/live/play"
	"seatrial.dev/seatrial/scenarios"
)

// TestWithoutManifests plays the steps of a scenario that has nothing to begin with.
func TestWithoutManifests(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`apiVersion: seatrial.dev/v1alpha1
kind: Scenario
metadata: {name: s}
spec:
  duration: 2s
  cluster: {nodeGroups: [{name: worker}]}
  timeline:
  - {at: 100ms, apply: [{apiVersion: v1, kind: ConfigMap, metadata: {name: late}}]}
  checks:
  - {name: it was applied, atEnd: 'configmaps.exists(c, c.metadata.name == "late")'}
`), 0o666))
	scn, err := scenarios.Read(file)
	require.NoError(t, err)
	v, _ := play.Run(t.Context(), scn, apitest.New(t, "127.0.0.1:0").Admin, nil, play.Options{})
	require.NoError(t, v.Err)
	require.True(t, v.Passed(), "%+v", v)
}
