package deployment_test

import (
	"testing"

	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/deployment"
)

func TestDeployment(t *testing.T) {
	ctrltest.Run(t, "testdata", func() []ctrl.Controller { return []ctrl.Controller{deployment.New()} })
}
