package disruption_test

import (
	"testing"

	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/disruption"
)

func TestDisruption(t *testing.T) {
	ctrltest.Run(t, "testdata", func() []ctrl.Controller { return []ctrl.Controller{disruption.New()} })
}
