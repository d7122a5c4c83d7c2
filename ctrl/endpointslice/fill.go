package endpointslice

import (
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// endpointsMax is how many endpoints a slice holds (--max-endpoints-per-slice).
const endpointsMax = 100

// draft is one slice while a plan is made.
type draft struct {
	seen      *discoveryv1.EndpointSlice // nil for a new one
	endpoints []discoveryv1.Endpoint
	changed   bool
}

// fill spreads the wanted endpoints over the present slices of their group, in the
// order of their names, and new ones. A draft without endpoints is one that can go.
func (w *want) fill(present []*discoveryv1.EndpointSlice) []*draft {
	placed := make([]bool, len(w.endpoints))
	drafts := make([]*draft, 0, len(present)+1)
	for _, s := range present {
		drafts = append(drafts, w.keep(s, placed))
	}
	var rest []discoveryv1.Endpoint
	for i, e := range w.endpoints {
		if !placed[i] {
			rest = append(rest, e)
		}
	}
	for _, d := range drafts {
		if d.changed && len(d.endpoints) > 0 {
			rest = d.take(rest)
		}
	}
	for len(rest) > 0 {
		d := roomiest(drafts, len(rest))
		if d == nil {
			d = &draft{}
			drafts = append(drafts, d)
		}
		rest = d.take(rest)
	}
	return drafts
}

// keep leaves in a slice what is wanted of it, brought up to date.
func (w *want) keep(s *discoveryv1.EndpointSlice, placed []bool) *draft {
	d := &draft{seen: s, endpoints: s.Endpoints}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		j, ok := -1, false
		if e.TargetRef != nil {
			j, ok = w.at[e.TargetRef.UID]
		}
		stays := ok && !placed[j]
		if stays {
			placed[j] = true
		}
		if stays && sameEndpoint(e, &w.endpoints[j]) && !d.changed {
			continue
		}
		if !d.changed {
			d.changed = true
			d.endpoints = slices.Clone(s.Endpoints[:i])
		}
		if stays {
			d.endpoints = append(d.endpoints, w.endpoints[j])
		}
	}
	return d
}

// take adds as many endpoints as have room, and returns the others.
func (d *draft) take(rest []discoveryv1.Endpoint) []discoveryv1.Endpoint {
	n := min(len(rest), endpointsMax-len(d.endpoints))
	if n <= 0 {
		return rest
	}
	d.endpoints = append(slices.Clip(d.endpoints), rest[:n]...)
	d.changed = true
	return rest[n:]
}

// roomiest is the unchanged slice that n endpoints fit into most closely; an empty
// slice that would go is used before any. It is nil if none has the room, as for
// more than a slice holds.
func roomiest(drafts []*draft, n int) *draft {
	var best *draft
	for _, d := range drafts {
		if d.seen != nil && len(d.endpoints) == 0 {
			return d
		}
		if d.seen == nil || d.changed || len(d.endpoints)+n > endpointsMax {
			continue
		}
		if best == nil || len(d.endpoints) > len(best.endpoints) {
			best = d
		}
	}
	return best
}
