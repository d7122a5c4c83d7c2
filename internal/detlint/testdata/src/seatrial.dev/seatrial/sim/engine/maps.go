package engine

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"
)

type key struct{ name string }

func (k key) Compare(o key) int { return cmp.Compare(k.name, o.name) }

type world struct {
	m     map[string]int
	count int
}

func accepted(w *world, m, other map[string]int, nested map[string][]int, byKey map[key]bool) (bool, []string) {
	n := 0
	for range m {
		n++
	}
	for k := range m {
		delete(other, k)
	}
	for k, v := range m {
		if v > 3 && strings.HasPrefix(k, "x") {
			delete(m, k)
		}
	}
	for k, v := range m {
		w.m[k] = v * 2
		n += v
		w.count++
	}
	type name string
	named := map[name]int{}
	for k, v := range m {
		named[name(k)] = v
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		if k == "" {
			continue
		}
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var byFunc []key
	for k := range byKey {
		byFunc = append(byFunc, k)
	}
	slices.SortFunc(byFunc, key.Compare)
	lengths := []int{}
	for _, list := range nested {
		lengths = append(lengths, len(list))
	}
	sort.Ints(lengths)
	found := false
	for k, v := range m {
		if was, ok := other[k]; ok && was != v {
			found = true
		}
	}
	for k, v := range m {
		if other[k] != v {
			return false, nil
		}
	}
	_ = slices.Sorted(maps.Keys(m))
	_ = slices.SortedFunc(maps.Keys(byKey), key.Compare)
	_ = maps.Collect(maps.All(m))
	maps.Copy(other, m)
	return found, keys
}

func refused(w *world, m, other map[string]int, byKey map[key]int, f func(string) bool) (string, int) {
	var keys []string
	for k := range m { // want `a range over map m has no order: walk slices.Sorted\(maps.Keys\(m\)\)`
		keys = append(keys, k)
	}
	n := 0
	slices.Sort(keys)
	for k := range m { // want `no order`
		other[k] = n
		n++
	}
	for k, v := range m { // want `no order`
		other[strings.ToLower(k)] = v
	}
	for k := range m { // want `no order`
		if f(k) {
			delete(m, k)
		}
	}
	for k := range m { // want `no order`
		if len(other) > 3 {
			delete(other, k)
		}
	}
	sum := 0.0
	for _, v := range m { // want `no order`
		sum += float64(v)
	}
	text := ""
	for k := range m { // want `no order`
		text += k
	}
	last := 0
	for _, v := range m { // want `no order`
		last = v
	}
	for _, v := range m { // want `no order`
		last = 1
		if v > 3 {
			last = 2
		}
	}
	for _, v := range m { // want `no order`
		n += v
		if v > 3 {
			n = 0
		}
	}
	for _, v := range m { // want `no order`
		n += v
		n ^= v
	}
	for _, v := range m { // want `no order`
		n += v
		if v > 3 {
			return "", 0
		}
	}
	for k, v := range m { // want `no order`
		if v > 3 {
			return k, 0
		}
	}
	for _, v := range m { // want `no order`
		if v > 3 {
			return "", 1
		}
		return "", 2
	}
	for k := range m { // want `no order`
		if k != "" {
			n = 1
			break
		}
	}
	var k string
	for k = range m { // want `no order`
	}
	var least []key
	for k := range byKey { // want `no order`
		least = append(least, k)
	}
	slices.SortFunc(least, func(a, b key) int { return len(a.name) - len(b.name) })
	for k := range w.m { // want `a range over map w.m has no order: walk slices.Sorted\(maps.Keys\(w.m\)\)`
		f(k)
	}
	for k := range maps.Keys(m) { // want `maps.Keys has no order: wrap it in slices.Sorted`
		f(k)
	}
	_ = slices.Collect(maps.Values(m))                                                    // want `maps.Values has no order`
	_ = slices.SortedFunc(maps.Keys(m), func(a, b string) int { return len(a) - len(b) }) // want `maps.Keys has no order`
	for k, v := range maps.All(m) {                                                       // want `maps.All has no order`
		f(k)
		n = v
	}
	return text + k, last + n + int(sum)
}

func generic[M ~map[K]V, K comparable, V any](m M, f func(K)) {
	for k := range m { // want `a range over map m has no order`
		f(k)
	}
}
