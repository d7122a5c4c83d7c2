package play

import (
	"testing"

	"github.com/cockroachdb/datadriven"

	"seatrial.dev/seatrial/scenarios/scenariotest"
)

// TestCheck plays testdata/check: what a lab refuses of a scenario's spec.
func TestCheck(t *testing.T) {
	datadriven.RunTest(t, "testdata/check", func(t *testing.T, d *datadriven.TestData) string {
		if err := Check(scenariotest.Spec(t, d.Input)); err != nil {
			return err.Error() + "\n"
		}
		return "fine\n"
	})
}
