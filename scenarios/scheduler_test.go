package scenarios_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/sched/config"
)

// TestRecordingKeepsTheScheduler: a recording in another folder names the same
// configuration.
func TestRecordingKeepsTheScheduler(t *testing.T) {
	scn, err := scenarios.Read("two-schedulers.yaml")
	require.NoError(t, err)
	require.Equal(t, "packer", scn.Scheduler.Profiles[1].Name)
	dir := t.TempDir()
	text, err := scn.WithRecording(dir, 7, nil, time.Minute)
	require.NoError(t, err)
	again, err := scenarios.Parse(filepath.Join(dir, "recorded.yaml"), text)
	require.NoError(t, err)
	require.Equal(t, scn.Scheduler, again.Scheduler)
}

func TestSchedulerFileMayNotBeTooLong(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, "long.yaml")
	require.NoError(t, os.WriteFile(long, make([]byte, config.BytesMax+1), 0o666))
	_, err := scenarios.Parse(filepath.Join(dir, "x.yaml"), []byte("apiVersion: seatrial.dev/v1alpha1\nkind: Scenario\nmetadata: {name: x}\nspec: {duration: 1m, cluster: {scheduler: long.yaml}}\n"))
	require.ErrorContains(t, err, "x.yaml:4: spec.cluster.scheduler: ")
	require.ErrorContains(t, err, "more than the 1048576 that")
}
