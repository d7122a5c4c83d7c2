package quality

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// confidence is that of all intervals.
const confidence = 0.95

// Estimate is a measure over several seeds. Low and High are the confidence interval; they
// are the mean where there is one seed only.
type Estimate struct {
	Mean float64   `json:"mean"`
	Low  float64   `json:"low"`
	High float64   `json:"high"`
	Each []float64 `json:"each"` // by seed
}

// student is the mean with Student's t interval.
func student(each []float64) Estimate {
	e := Estimate{Mean: stat.Mean(each, nil), Each: each}
	e.Low, e.High = e.Mean, e.Mean
	if n := float64(len(each)); n > 1 {
		half := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}.Quantile((1+confidence)/2) * stat.StdDev(each, nil) / math.Sqrt(n)
		e.Low, e.High = e.Mean-half, e.Mean+half
	}
	return e
}

// resamples is how many a bootstrap makes.
const resamples = 1000

// bootstrap is a percentile of the values, with the percentile interval of resamples.
func bootstrap(each []float64, p float64, seed uint64) Estimate {
	e := Estimate{Mean: percentile(each, p), Each: each}
	r := rand.New(rand.NewPCG(seed, 2))
	got := make([]float64, resamples)
	again := make([]float64, len(each))
	for i := range got {
		for k := range again {
			again[k] = each[r.IntN(len(each))]
		}
		got[i] = percentile(again, p)
	}
	e.Low, e.High = percentile(got, (1-confidence)/2), percentile(got, (1+confidence)/2)
	return e
}

// percentile is the least value that a share p of them do not exceed; 0 of none.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return stat.Quantile(p, stat.Empirical, sorted, nil)
}

// jain is Jain's index of fairness: 1 when all got the same.
func jain(got []float64) float64 {
	var sum, squares float64
	for _, x := range got {
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return 1
	}
	return sum * sum / (float64(len(got)) * squares)
}
