package rounding

import "math"

// scoreMax is the best that a score gives a node.
const scoreMax = 100

// Share is a used part of what there is, at most all of it.
func Share(used, has int64) float64 { return min(1, float64(used)/float64(has)) }

// Evenness is 100 less the standard deviation of the shares in per cent, rounded down
// (NodeResourcesBalancedAllocation).
func Evenness(shares []float64) int64 {
	var deviation float64
	switch n := float64(len(shares)); {
	case len(shares) == 2:
		deviation = math.Abs((shares[0] - shares[1]) / 2)
	case len(shares) > 2:
		var total, sum float64
		for _, x := range shares {
			total += x
		}
		mean := total / n
		for _, x := range shares {
			sum += float64((x - mean) * (x - mean))
		}
		deviation = math.Sqrt(sum / n)
	}
	return int64(float64((1 - deviation) * scoreMax))
}

// Weight is the weight of a topology's counts, by the number of its domains.
type Weight float64

// WeightOf is ln(2 + domains) (PodTopologySpread).
func WeightOf(domains int) Weight { return Weight(ln(domains + 2)) }

// Sum adds up weighted counts.
type Sum float64

// Add adds a count by its weight, and a whole number.
func (s Sum) Add(count int64, w Weight, more int64) Sum {
	return s + Sum(float64(float64(count)*float64(w))+float64(more))
}

// Int is the sum, rounded to the nearest whole number.
func (s Sum) Int() int64 { return int64(math.Round(float64(s))) }

// Scaled brings a value between low and high to 0 to 100, rounded down; 0 where low
// and high are the same (InterPodAffinity).
func Scaled(value, low, high int64) int64 {
	if high <= low {
		return 0
	}
	return int64(scoreMax * (float64(value-low) / float64(high-low)))
}

// Spread is an image's size by the part of the nodes that have it, rounded down
// (ImageLocality).
func Spread(bytes int64, having, nodes int) int64 {
	return int64(float64(float64(bytes) * (float64(having) / float64(nodes))))
}
