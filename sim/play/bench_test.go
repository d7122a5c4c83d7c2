package play

import (
	"testing"

	"seatrial.dev/seatrial/scenarios"
)

func BenchmarkBig(b *testing.B) {
	scn, err := scenarios.Read("/tmp/t/big.yaml")
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
