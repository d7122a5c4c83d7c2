package quality

import (
	"context"
	"math/rand/v2"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/bench/playback"
)

// fitsPerMille is the share of pods that may stay pending in a cell that fits.
const fitsPerMille = 2

// cellPercentile is that of the trials which is told.
const cellPercentile = 0.9

// compact finds the least number of nodes on which a workload fits when nodes are taken
// away in the random order of the trial; ok is false when it does not fit on all of them.
func compact(ctx context.Context, w *playback.Workload, policy playback.Policy, trial uint64) (least int, ok bool, err error) {
	order := slices.Clone(w.Nodes)
	r := rand.New(rand.NewPCG(trial, 3))
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	fits := func(n int) (bool, error) { return fit(ctx, w, order[:n], policy, trial) }
	if ok, err = fits(len(order)); !ok || err != nil {
		return 0, false, err
	}
	low, high := 0, len(order) // fits on high, and not on low
	for high-low > 1 {
		middle := (low + high) / 2
		ok, err := fits(middle)
		if err != nil {
			return 0, false, err
		}
		if ok {
			high = middle
		} else {
			low = middle
		}
	}
	return high, true, nil
}

func fit(ctx context.Context, w *playback.Workload, nodes []*corev1.Node, policy playback.Policy, seed uint64) (bool, error) {
	part := w.With(nodes)
	cfg, err := policy.Config(w, seed)
	if err != nil {
		return false, err
	}
	allowed := len(w.Arrivals) * fitsPerMille / 1000
	o, err := playback.Run(ctx, part, cfg, playback.Options{Seed: seed, Stuck: allowed + 1})
	if err != nil {
		return false, err
	}
	return !o.Stopped && o.Pending <= allowed, nil
}
