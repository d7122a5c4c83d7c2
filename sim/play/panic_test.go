package play

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/internal/trace"
	"seatrial.dev/seatrial/scenarios"
)

// bomb is a recorder that panics at the nth event.
type bomb struct{ left int }

func (b *bomb) Begin(trace.Line) {
	if b.left--; b.left == 0 {
		panic("the bomb went off")
	}
}

func (b *bomb) Describe(string, string, string) {}

func TestPanicIsAnErrorOfTheRun(t *testing.T) {
	scn := small(t)[0]
	v, _ := Run(scn, Options{Seed: 7, Recorder: &bomb{left: 100}})
	require.Error(t, v.Err)
	require.False(t, v.Passed())
	require.EqualValues(t, 7, v.Seed)
	require.EqualValues(t, 100, v.Events)
	require.Positive(t, v.Time)
	text := v.Err.Error()
	require.Contains(t, text, "panic at "+v.Time.String()+", event 100: the bomb went off\n")
	require.Contains(t, text, "panic_test.go", "the stack names where it was")

	var out strings.Builder
	v.WriteFailures(&out, "seatrial run x.yaml --seed 7")
	require.Contains(t, out.String(), "the world failed: panic at")
	require.Contains(t, out.String(), "replay: seatrial run x.yaml --seed 7")
	require.Contains(t, v.String(), "FAIL "+scn.Name+" seed=7 time="+v.Time.String()+" events=100 hash=")
}

// TestPanicLeavesOtherRunsAlone plays a scenario that reading would have refused:
// its time line cuts off a node that does not exist, on which the world panics.
func TestPanicLeavesOtherRunsAlone(t *testing.T) {
	good := small(t)[0]
	bad := *good
	bad.Name = "bad"
	bad.Steps = []scenarios.Step{{At: good.Duration / 2, Action: scenarios.Cut{From: []string{"nobody"}}}}

	var jobs []Job
	for seed := range uint64(4) {
		jobs = append(jobs, Job{Scenario: good, Seed: seed}, Job{Scenario: &bad, Seed: seed})
	}
	var got []scenarios.Verdict
	All(context.Background(), jobs, 2, func(v scenarios.Verdict) { got = append(got, v) })
	require.Len(t, got, len(jobs))
	for i, v := range got {
		require.Same(t, jobs[i].Scenario, v.Scenario)
		require.Equal(t, jobs[i].Seed, v.Seed)
		if v.Scenario == &bad {
			require.ErrorContains(t, v.Err, "no party nobody")
			require.Equal(t, bad.Steps[0].At, v.Time)
		} else {
			require.NoError(t, v.Err)
		}
	}
}

func TestAllStopsWhenItsContextIsDone(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	scn := small(t)[0]
	jobs := make([]Job, 50)
	for i := range jobs {
		jobs[i] = Job{Scenario: scn, Seed: uint64(i)}
	}
	n := 0
	All(ctx, jobs, 2, func(scenarios.Verdict) {
		if n++; n == 3 {
			stop()
		}
	})
	require.GreaterOrEqual(t, n, 3)
	require.Less(t, n, len(jobs))
}
