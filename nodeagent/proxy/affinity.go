package proxy

import (
	"net/netip"
	"slices"
	"time"

	"seatrial.dev/seatrial/cluster/kinds"
)

// ClientsPerEndpointMax is how many clients are remembered at one endpoint; the one
// that has not come for longest is forgotten. It is the kernel's limit of a list of
// "recent" (ip_list_tot), which the rules of a real node use.
const ClientsPerEndpointMax = 100

// Affinity remembers which clients have come to which endpoints of services with
// session affinity. It is a node's own and is lost when the node restarts. The zero
// value knows nobody.
type Affinity struct {
	lists map[affinityList][]visit
}

type affinityList struct {
	service  kinds.Key
	port     string
	endpoint netip.AddrPort
}

// visit is a client's last connection; lists have the latest last.
type visit struct {
	client netip.Addr
	at     time.Time
}

// stay returns the first endpoint of the pool that the client came to within the
// port's time, otherwise the one drawn, and notes the visit.
func (a *Affinity) stay(service kinds.Key, port *Port, pool []Endpoint, drawn netip.AddrPort, p *Packet) netip.AddrPort {
	if a.lists == nil {
		a.lists = map[affinityList][]visit{}
	}
	to := drawn
	for i := range pool {
		list := affinityList{service, port.Name, pool[i].Addr}
		if a.remembers(list, p.Src, p.Now.Add(-port.Affinity)) {
			to = pool[i].Addr
			break
		}
	}
	a.note(affinityList{service, port.Name, to}, visit{p.Src, p.Now})
	return to
}

// remembers also forgets whoever came before since, as the rules do.
func (a *Affinity) remembers(list affinityList, client netip.Addr, since time.Time) bool {
	visits, ok := a.lists[list]
	if !ok {
		return false
	}
	visits = slices.DeleteFunc(visits, func(v visit) bool { return v.at.Before(since) })
	if len(visits) == 0 {
		delete(a.lists, list)
		return false
	}
	a.lists[list] = visits
	return slices.ContainsFunc(visits, func(v visit) bool { return v.client == client })
}

func (a *Affinity) note(list affinityList, v visit) {
	visits := slices.DeleteFunc(a.lists[list], func(o visit) bool { return o.client == v.client })
	if len(visits) == ClientsPerEndpointMax {
		visits = slices.Delete(visits, 0, 1)
	}
	a.lists[list] = append(visits, v)
}
