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

// pop takes the least item. The hole that it leaves sinks to the bottom along the
// least children, and the last item rises from there: it came from the bottom, so
// it seldom rises far, and one comparison a level is saved.
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
		if c+4 > n {
			if c < n {
				best := c
				for j := c + 1; j < n; j++ {
					if q[j].less(q[best]) {
						best = j
					}
				}
				q[i], i = q[best], best
			}
			break
		}
		k := q[c : c+4 : c+4]
		a, b := 0, 2
		if k[1].less(k[0]) {
			a = 1
		}
		if k[3].less(k[2]) {
			b = 3
		}
		if k[b].less(k[a]) {
			a = b
		}
		q[i], i = k[a], c+a
	}
	for i > 0 {
		p := (i - 1) / 4
		if !x.less(q[p]) {
			break
		}
		q[i] = q[p]
		i = p
	}
	q[i] = x
	return top
}
