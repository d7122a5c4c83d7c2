package bench

import "testing"

// Each benchmark of the bench verb, as a Go benchmark: for profiles and benchstat.
//
//	go test ./bench -run - -bench /thousand-nodes -cpuprofile cpu.prof
func Benchmark(b *testing.B) {
	for _, x := range All("../scenarios") {
		b.Run(x.Name, func(b *testing.B) {
			b.ReportAllocs()
			var events uint64
			for b.Loop() {
				n, _, err := x.run()
				if err != nil {
					b.Fatal(err)
				}
				events = n
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(events), "ns/event")
		})
	}
}
