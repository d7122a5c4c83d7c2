package ttlafterfinished_test

import (
	"testing"

	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/ttlafterfinished"
)

func TestTTLAfterFinished(t *testing.T) {
	ctrltest.Run(t, "testdata", func() []ctrl.Controller { return []ctrl.Controller{ttlafterfinished.New()} })
}
