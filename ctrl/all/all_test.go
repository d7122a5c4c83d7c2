package all_test

import (
	"testing"

	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/all"
	"seatrial.dev/seatrial/ctrl/ctrltest"
)

// Whole stories, by all controllers together and the real API.
func TestStories(t *testing.T) {
	ctrltest.Run(t, "testdata", func() []ctrl.Controller { return all.New(all.Config{PodCIDR: "10.244.0.0/16", Provisions: true}) })
}
