package agent

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Left is how much of something there is to be left: so many bytes (or pieces), or if
// Percent is not 0 so much of all.
type Left struct {
	Amount  uint64
	Percent uint64
}

// short says whether less is left.
func (l Left) short(left, all uint64) bool {
	if l.Percent > 0 {
		return all > 0 && left*100 < all*l.Percent
	}
	return left < l.Amount
}

// Thresholds are below what the node is under pressure: the kubelet's evictionHard
// (https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#hard-eviction-thresholds).
type Thresholds struct {
	Memory     Left
	NodeDisk   Left // of the file system of the data folder
	NodeInodes Left
	ImageDisk  Left // of that of the images
	PIDs       Left
}

// DefaultThresholds are the kubelet's; it has none for processes.
func DefaultThresholds() Thresholds {
	return Thresholds{Memory: Left{Amount: 100 << 20}, NodeDisk: Left{Percent: 10}, NodeInodes: Left{Percent: 5}, ImageDisk: Left{Percent: 15}, PIDs: Left{Percent: 5}}
}

// ParseThresholds reads "memory.available<100Mi,nodefs.available<10%"; signals that are
// not named keep their defaults.
func ParseThresholds(text string) (Thresholds, error) {
	t := DefaultThresholds()
	signals := map[string]*Left{"memory.available": &t.Memory, "nodefs.available": &t.NodeDisk, "nodefs.inodesFree": &t.NodeInodes,
		"imagefs.available": &t.ImageDisk, "pid.available": &t.PIDs}
	for part := range strings.SplitSeq(text, ",") {
		signal, value, ok := strings.Cut(part, "<")
		left := signals[signal]
		if !ok || left == nil {
			return t, fmt.Errorf("%q: want SIGNAL<VALUE, the signal memory.available, nodefs.available, nodefs.inodesFree, imagefs.available or pid.available", part)
		}
		if number, isPercent := strings.CutSuffix(value, "%"); isPercent {
			n, err := strconv.ParseUint(number, 10, 64)
			if err != nil || n < 1 || n > 99 {
				return t, fmt.Errorf("%q: want 1%% to 99%%", part)
			}
			*left = Left{Percent: n}
			continue
		}
		q, err := resource.ParseQuantity(value)
		if err != nil || q.Sign() < 0 {
			return t, fmt.Errorf("%q: want a quantity such as 500Mi, or a share such as 10%%", part)
		}
		*left = Left{Amount: uint64(q.Value())}
	}
	return t, nil
}
