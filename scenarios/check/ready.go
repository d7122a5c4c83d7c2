package check

import (
	discoveryv1 "k8s.io/api/discovery/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// addresses are the ready addresses of one service, with the number of times each
// stands in the service's EndpointSlices. A change of a slice costs by the size of
// that slice.
type addresses map[string]int

// add counts the ready addresses of a slice by times more, or less.
func (a addresses) add(slice *discoveryv1.EndpointSlice, times int) {
	for i := range slice.Endpoints {
		e := &slice.Endpoints[i]
		if e.Conditions.Ready != nil && !*e.Conditions.Ready {
			continue // not said is ready, by the API's definition
		}
		for _, ip := range e.Addresses {
			if a[ip] += times; a[ip] == 0 {
				delete(a, ip)
			}
		}
	}
}

// serviceOf is the service that a slice belongs to.
func serviceOf(s *discoveryv1.EndpointSlice) kinds.Key {
	return kinds.Key{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
}

// ready is the number of distinct addresses that are ready to serve a service. A
// service once asked about is kept up from then on.
func (s *scope) ready(service kinds.Key) int {
	a, known := s.services[service]
	if !known {
		a = addresses{}
		for o := range s.store.List(kinds.EndpointSlice, service.Namespace) {
			if slice := o.(*discoveryv1.EndpointSlice); serviceOf(slice) == service {
				a.add(slice, 1)
			}
		}
		s.services[service] = a
	}
	return len(a)
}

// observeSlice keeps up the services that have been asked about, and says which
// service or services a write may have changed.
func (s *scope) observeSlice(e *store.Event) (was, is kinds.Key) {
	if old, ok := e.Old.(*discoveryv1.EndpointSlice); ok {
		was = serviceOf(old)
		if a, known := s.services[was]; known {
			a.add(old, -1)
		}
	}
	if slice, ok := e.Object.(*discoveryv1.EndpointSlice); ok && e.Type != store.Deleted {
		is = serviceOf(slice)
		if a, known := s.services[is]; known {
			a.add(slice, 1)
		}
	}
	return was, is
}
