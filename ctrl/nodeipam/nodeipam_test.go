package nodeipam_test

import (
	"testing"

	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/nodeipam"
)

func TestNodeIPAM(t *testing.T) {
	ctrltest.Run(t, "testdata", func() []ctrl.Controller {
		c, err := nodeipam.New("10.244.0.0/22")
		if err != nil {
			t.Fatal(err)
		}
		return []ctrl.Controller{c}
	})
}
