package sim

// heap is a 4-ary min-heap of small values ordered by (time, sequence). Four
// children share two cache lines, and the tree is half as deep as a binary one.
type heap []heapItem

type heapItem struct {
	at   int64
	seq  uint64
	slot uint32
}

func (a heapItem) less(b heapItem) bool {
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (h *heap) push(x heapItem) {
	q := append(*h, x)
	i := len(q) - 1
	for i > 0 {
		p := (i - 1) / 4
		if !x.less(q[p]) {
			break
		}
		q[i] = q[p]
		i = p
	}
	q[i] = x
	*h = q
}

func (h *heap) pop() heapItem {
	q := *h
	top := q[0]
	n := len(q) - 1
	x := q[n]
	q = q[:n]
	*h = q
	if n == 0 {
		return top
	}
	i := 0
	for {
		c := 4*i + 1
		if c >= n {
			break
		}
		best := c
		for j := c + 1; j < min(c+4, n); j++ {
			if q[j].less(q[best]) {
				best = j
			}
		}
		if !q[best].less(x) {
			break
		}
		q[i] = q[best]
		i = best
	}
	q[i] = x
	return top
}
