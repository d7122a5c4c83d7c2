package statefulset_test

import (
	"testing"

	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/statefulset"
)

func TestStatefulSet(t *testing.T) {
	ctrltest.Run(t, "testdata", func() []ctrl.Controller { return []ctrl.Controller{statefulset.New()} })
}
