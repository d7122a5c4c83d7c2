package persistentvolume_test

import (
	"testing"

	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/persistentvolume"
)

func TestPersistentVolume(t *testing.T) {
	ctrltest.Run(t, "testdata", func() []ctrl.Controller {
		return []ctrl.Controller{persistentvolume.New(), persistentvolume.NewProvisioner()}
	})
}
