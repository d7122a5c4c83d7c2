package rounding

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLnIsThatOfTheStandardLibrary(t *testing.T) {
	for n := 2; n < 200_000; n++ {
		got, want := ln(n), math.Log(float64(n))
		if got != want && math.Nextafter(got, want) != want {
			t.Fatalf("ln(%d) is %v, more than one rounding from %v", n, got, want)
		}
	}
}

func TestEvenness(t *testing.T) {
	require.EqualValues(t, 100, Evenness(nil))
	require.EqualValues(t, 100, Evenness([]float64{0.3, 0.3}))
	require.EqualValues(t, 75, Evenness([]float64{0, 0.5}))
	require.EqualValues(t, 50, Evenness([]float64{0, 1}))
	require.EqualValues(t, 59, Evenness([]float64{0, 0.5, 1}))
}

func TestScaled(t *testing.T) {
	require.EqualValues(t, 0, Scaled(5, 5, 5))
	require.EqualValues(t, 0, Scaled(-10, -10, 20))
	require.EqualValues(t, 33, Scaled(0, -10, 20))
	require.EqualValues(t, 100, Scaled(20, -10, 20))
}
