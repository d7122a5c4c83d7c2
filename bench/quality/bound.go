package quality

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize/convex/lp"

	"seatrial.dev/seatrial/bench/playback"
	"seatrial.dev/seatrial/sched"
)

// The resources that a bound counts. A slot is half a GPU: a pod that asks for more than
// half of a GPU has it for itself as far as such pods go, and takes two; one that asks for
// exactly half takes one; others take none.
const (
	cpu = iota
	memory
	share
	slots
	resources
)

// demand is what a pod asks for, or a node has.
type demand [resources]float64

func demandOf(p *corev1.Pod) demand {
	d := demand{cpu: float64(playback.Requested(p, corev1.ResourceCPU)), memory: float64(playback.Requested(p, corev1.ResourceMemory))}
	milli, count := sched.GPUsOf(p)
	d[share] = float64(milli * count)
	switch {
	case milli > 500:
		d[slots] = float64(2 * count)
	case milli == 500:
		d[slots] = float64(count)
	}
	return d
}

func capacityOf(n *corev1.Node) demand {
	gpus := float64(playback.Allocatable(n, sched.ResourceGPU))
	return demand{cpu: float64(playback.Allocatable(n, corev1.ResourceCPU)), memory: float64(playback.Allocatable(n, corev1.ResourceMemory)),
		share: 1000 * gpus, slots: 2 * gpus}
}

// within says whether a pod fits on an empty node.
func (d *demand) within(c *demand) bool {
	for r := range d {
		if d[r] > c[r] {
			return false
		}
	}
	return true
}

// nodeType is nodes that have the same.
type nodeType struct {
	has   demand
	count float64
}

// podGroup is pods that fit on the same types of nodes, and what they ask for together.
type podGroup struct {
	fits  string // by type: '1' or '0'
	wants demand
}

// slack is what a solution may be wrong by before it is rounded up.
const slack = 1e-6

// Bound is the least number of nodes that can hold the pods, by a linear programme. With
// node types j, of which there are N_j with C_jr of resource r, and groups g of pods that
// fit on the same types of empty nodes J_g and ask for D_gr together:
//
//	minimise    Σ_j y_j
//	subject to  Σ_{j in J_g} z_gjr = D_gr        for each group g and resource r
//	            Σ_g z_gjr ≤ C_jr y_j             for each type j and resource r
//	            0 ≤ y_j ≤ N_j,  z ≥ 0
//
// y_j is how many nodes of a type are used and z_gjr how much of r the group's pods ask
// for on them. Every placement is a solution; but pods may be cut, and cut differently in
// each resource, so the programme may do with fewer nodes than there can be. Its optimum
// is rounded up. Affinities and taints are not counted.
//
// Where there are more than typesMax types, those next to each other by GPUs and cpu count
// as one that has the most that any of them has; where there are more than groupsMax
// groups, some of them as one that fits wherever any of them does. That makes the bound
// lower, not wrong. An error says that the pods cannot be placed, or that no solution was
// found.
func Bound(nodes []*corev1.Node, pods []*corev1.Pod) (int, error) {
	if len(pods) == 0 {
		return 0, nil
	}
	return bound(coarser(typesOf(nodes), typesMax), pods, groupsMax)
}

// Limits of a programme: it is solved in a second or so.
const (
	typesMax  = 32
	groupsMax = 24
)

func bound(types []nodeType, pods []*corev1.Pod, groupsMax int) (int, error) {
	groups, err := groupsOf(pods, types)
	if err != nil {
		return 0, err
	}
	groups = fewer(groups, groupsMax)
	c, a, b := programme(types, groups)
	best, _, err := lp.Simplex(c, a, b, slack/100, nil)
	if err != nil {
		return 0, fmt.Errorf("linear programme of %d node types and %d groups of pods: %w", len(types), len(groups), err)
	}
	return int(math.Ceil(best - slack)), nil
}

func typesOf(nodes []*corev1.Node) []nodeType {
	index := map[demand]int{}
	var list []nodeType
	for _, n := range nodes {
		has := capacityOf(n)
		k, ok := index[has]
		if !ok {
			k = len(list)
			index[has] = k
			list = append(list, nodeType{has: has})
		}
		list[k].count++
	}
	return list
}

// coarser merges types that are next to each other until there are few enough.
func coarser(list []nodeType, most int) []nodeType {
	if len(list) <= most {
		return list
	}
	slices.SortFunc(list, func(a, b nodeType) int {
		return cmp.Or(cmp.Compare(a.has[share], b.has[share]), cmp.Compare(a.has[cpu], b.has[cpu]), cmp.Compare(a.has[memory], b.has[memory]))
	})
	var out []nodeType
	for k := range most {
		t := nodeType{}
		for _, x := range list[k*len(list)/most : (k+1)*len(list)/most] {
			t.count += x.count
			for r := range t.has {
				t.has[r] = max(t.has[r], x.has[r])
			}
		}
		out = append(out, t)
	}
	return out
}

// fewer merges groups of pods until there are few enough.
func fewer(list []podGroup, most int) []podGroup {
	if len(list) <= most {
		return list
	}
	var out []podGroup
	for k := range most {
		part := list[k*len(list)/most : (k+1)*len(list)/most]
		g := podGroup{}
		fits := []byte(part[0].fits)
		for _, x := range part {
			for j := range fits {
				fits[j] = max(fits[j], x.fits[j])
			}
			for r := range g.wants {
				g.wants[r] += x.wants[r]
			}
		}
		g.fits = string(fits)
		out = append(out, g)
	}
	return out
}

func groupsOf(pods []*corev1.Pod, types []nodeType) ([]podGroup, error) {
	index := map[string]int{}
	var list []podGroup
	for _, p := range pods {
		d := demandOf(p)
		fits, any := make([]byte, len(types)), false
		for j := range types {
			fits[j] = '0'
			if d.within(&types[j].has) {
				fits[j], any = '1', true
			}
		}
		if !any {
			return nil, fmt.Errorf("pod %s/%s fits on no node", p.Namespace, p.Name)
		}
		k, ok := index[string(fits)]
		if !ok {
			k = len(list)
			index[string(fits)] = k
			list = append(list, podGroup{fits: string(fits)})
		}
		for r := range d {
			list[k].wants[r] += d[r]
		}
	}
	slices.SortFunc(list, func(a, b podGroup) int { return cmp.Compare(a.fits, b.fits) })
	return list, nil
}

// programme writes Bound's in the form that Simplex takes, minimise cx with Ax = b and
// x ≥ 0. Resources are counted in what the largest node has of them.
func programme(types []nodeType, groups []podGroup) (c []float64, a *mat.Dense, b []float64) {
	var unit demand
	for _, t := range types {
		for r := range unit {
			unit[r] = max(unit[r], t.has[r])
		}
	}
	var rows [][]entry
	columns := 0
	column := func() int { columns++; return columns - 1 }
	used := make([]int, len(types)) // y
	full := make([][resources][]entry, len(types))
	for j, t := range types {
		used[j] = column()
		rows, b = append(rows, []entry{{used[j], 1}, {column(), 1}}), append(b, t.count)
	}
	for _, g := range groups {
		for r := range resources {
			if g.wants[r] == 0 {
				continue
			}
			var row []entry
			for j := range types {
				if g.fits[j] == '1' {
					z := entry{column(), 1}
					row = append(row, z)
					full[j][r] = append(full[j][r], z)
				}
			}
			rows, b = append(rows, row), append(b, g.wants[r]/unit[r])
		}
	}
	for j, t := range types {
		for r, row := range full[j] {
			if len(row) > 0 {
				rows, b = append(rows, append(row, entry{used[j], -t.has[r] / unit[r]}, entry{column(), 1})), append(b, 0)
			}
		}
	}
	c = make([]float64, columns)
	for _, y := range used {
		c[y] = 1
	}
	a = mat.NewDense(len(rows), columns, nil)
	for i, row := range rows {
		for _, e := range row {
			a.Set(i, e.column, e.value)
		}
	}
	return c, a, b
}

// entry is a number in a row of the programme.
type entry struct {
	column int
	value  float64
}
