package play

import (
	"testing"

	"seatrial.dev/seatrial/scenarios"
)

func BenchmarkThousandNodes(b *testing.B) {
	scn, err := scenarios.Read("../../scenarios/thousand-nodes.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		v, _ := Run(scn, Options{Seed: 1})
		if v.Err != nil {
			b.Fatal(v.Err)
		}
	}
}
