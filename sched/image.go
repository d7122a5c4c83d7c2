package sched

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/sched/rounding"
)

// Sizes between which having an image counts: below the least it gives nothing, above
// the most, for each container, all (k8s.io/kubernetes
// pkg/scheduler/framework/plugins/imagelocality).
const (
	imageBytesMin = 23 << 20
	imageBytesMax = 1000 << 20
)

// image is one that some node has.
type image struct {
	bytes   map[int32]int64 // by node
	version uint64          // changes with bytes
}

// setImages takes what images a node has now.
func (s *Snapshot) setImages(i int32, old, n *corev1.Node) {
	var was, is []corev1.ContainerImage
	if old != nil {
		was = old.Status.Images
	}
	if n != nil {
		is = n.Status.Images
	}
	if len(was) == len(is) && (len(is) == 0 || &was[0] == &is[0]) {
		return
	}
	if slices.EqualFunc(was, is, func(a, b corev1.ContainerImage) bool {
		return a.SizeBytes == b.SizeBytes && slices.Equal(a.Names, b.Names)
	}) {
		return
	}
	for _, x := range was {
		for _, name := range x.Names {
			if m := s.images[name]; m != nil {
				delete(m.bytes, i)
				m.version++
			}
		}
	}
	for _, x := range is {
		for _, name := range x.Names {
			m := s.images[name]
			if m == nil {
				m = &image{bytes: map[int32]int64{}}
				s.images[name] = m
			}
			m.bytes[i] = x.SizeBytes
			m.version++
		}
	}
}

// imageNames are the images of a pod, init containers and image volumes included, as
// nodes name them: with a tag.
func imageNames(spec *corev1.PodSpec) []string {
	var list []string
	add := func(name string) {
		if strings.LastIndex(name, ":") <= strings.LastIndex(name, "/") {
			name += ":latest"
		}
		list = append(list, name)
	}
	for i := range spec.InitContainers {
		add(spec.InitContainers[i].Image)
	}
	for i := range spec.Containers {
		add(spec.Containers[i].Image)
	}
	for i := range spec.Volumes {
		if v := spec.Volumes[i].Image; v != nil {
			add(v.Reference)
		}
	}
	return list
}

// imagesVersion changes when the nodes that have one of the images do.
func (s *Snapshot) imagesVersion(names []string) uint64 {
	sum := uint64(s.count)
	for _, name := range names {
		if m := s.images[name]; m != nil {
			sum += m.version << 20
		}
	}
	return sum
}

// imageScores works out ImageLocality's score by node into column, which is as long
// as there are node numbers, and says whether any is not 0. An image counts by its
// size, and the more the more nodes have it.
func (s *Snapshot) imageScores(names []string, column []int64) bool {
	clear(column)
	for _, name := range names {
		m := s.images[name]
		if m == nil {
			continue
		}
		for i, n := range m.bytes { //det:ok each node has its own place
			column[i] += rounding.Spread(n, len(m.bytes), s.count)
		}
	}
	any := false
	most := int64(imageBytesMax) * int64(len(names))
	for i, n := range column {
		if n <= imageBytesMin {
			column[i] = 0
			continue
		}
		column[i] = scoreMax * (min(n, most) - imageBytesMin) / (most - imageBytesMin)
		any = any || column[i] > 0
	}
	return any
}
