package fidelity

import (
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/bench/upstream/draw"
	"seatrial.dev/seatrial/cluster/kinds"
)

type regressionSeed struct {
	seed      uint64
	decisions int
}

func readSeeds(path string) (out []regressionSeed, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for i, line := range strings.Split(string(data), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var s regressionSeed
		if _, err := fmt.Sscan(line, &s.seed, &s.decisions); err != nil {
			return nil, fmt.Errorf("%s:%d: %q is not \"seed decisions what was wrong\": %w", path, i+1, line, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func drawn(seed uint64) []kinds.Object { return draw.New(seed, nil, nil).Objects() }

func asPod(o kinds.Object) *corev1.Pod {
	pod, _ := o.(*corev1.Pod)
	return pod
}
