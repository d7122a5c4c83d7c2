package daemonset_test

import (
	"testing"

	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/daemonset"
)

func TestDaemonSet(t *testing.T) {
	ctrltest.Run(t, "testdata", func() []ctrl.Controller { return []ctrl.Controller{daemonset.New()} })
}
