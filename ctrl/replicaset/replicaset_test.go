package replicaset_test

import (
	"testing"

	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/replicaset"
)

func TestReplicaSet(t *testing.T) {
	ctrltest.Run(t, "testdata/rs", func() []ctrl.Controller { return []ctrl.Controller{replicaset.New()} })
}

func TestReplicationController(t *testing.T) {
	ctrltest.Run(t, "testdata/rc", func() []ctrl.Controller {
		return []ctrl.Controller{replicaset.NewReplicationController()}
	})
}
