// Package sched stands for the packages that decide.
package sched

import "k8s.io/apimachinery/pkg/api/resource"

const half = 0.5 * 3.0 // the compiler is exact

func score(a, b int64, q resource.Quantity, x float64) int64 {
	f := float64(a) // want `a conversion of floating point in a decision`
	f = f * half    // want `floating point in a decision: count in integers`
	f += half       // want `floating point in a decision`
	if f > x {      // want `floating point in a decision`
		return int64(f) // want `a conversion of floating point`
	}
	_ = q.AsApproximateFloat64() // want `AsApproximateFloat64 rounds: count in integers`
	_ = q.Value()
	_ = int64(1e9)
	return a * 100 / b
}
