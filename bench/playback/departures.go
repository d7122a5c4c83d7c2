package playback

import "container/heap"

// departures are pods that are to go, the next one first.
type departures []departure

func (d *departures) push(x departure) { heap.Push((*departureHeap)(d), x) }
func (d *departures) pop() departure   { return heap.Pop((*departureHeap)(d)).(departure) }

type departureHeap []departure

func (h departureHeap) Len() int { return len(h) }
func (h departureHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h departureHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *departureHeap) Push(x any)   { *h = append(*h, x.(departure)) }
func (h *departureHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
