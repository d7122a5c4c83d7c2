package apitest

import (
	"sync"
	"testing"
)

// BenchmarkWrites tells how many writes a second are acknowledged to so many clients at
// once. write is told the number of the write, which no other has.
func BenchmarkWrites(b *testing.B, clients int, write func(n int) error) {
	var mu sync.Mutex
	last := 0
	next := func() int {
		mu.Lock()
		defer mu.Unlock()
		last++
		return last
	}
	b.ResetTimer()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for n := next(); n <= b.N; n = next() {
				if err := write(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	b.StopTimer()
}
