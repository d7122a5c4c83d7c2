package view

import (
	"iter"

	"github.com/tidwall/btree"
	discoveryv1 "k8s.io/api/discovery/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// slicesOf indexes EndpointSlices by the service that their label names: rules and
// names of one service are compiled from them at each change of one.
type slicesOf map[kinds.Key]*btree.BTreeG[*entry]

func (x slicesOf) index(e *entry, old, now kinds.Object) {
	was, is := ServiceOfSlice(old), ServiceOfSlice(now)
	if was == is {
		return
	}
	if was.Name != "" {
		drop(x, was, e)
	}
	if is.Name != "" {
		add(x, is, e)
	}
}

// ServiceOfSlice is the service that an EndpointSlice belongs to by its label; no key
// for a slice of none, and for anything else.
func ServiceOfSlice(o kinds.Object) kinds.Key {
	if s, ok := o.(*discoveryv1.EndpointSlice); ok && s.Labels[discoveryv1.LabelServiceName] != "" {
		return kinds.Key{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
	}
	return kinds.Key{}
}

// SlicesOf walks the EndpointSlices of a service, in the order of their names. The
// service itself need not be there.
func (v *View) SlicesOf(service kinds.Key) iter.Seq[*discoveryv1.EndpointSlice] {
	return walk[*discoveryv1.EndpointSlice](v.slices[service])
}
