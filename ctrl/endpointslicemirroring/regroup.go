package endpointslicemirroring

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// addressesMax is how many addresses of one group are mirrored
	// (--mirroring-max-endpoints-per-subset).
	addressesMax = 1000
	// subsetsMax is how many groups of one Endpoints are mirrored, and how many different
	// combinations of its subsets are looked at: ports spread over subsets in every
	// combination would otherwise become thousands of slices.
	subsetsMax = 100
)

// group is a set of ports, and the addresses that serve every one of them.
type group struct {
	ports     []corev1.EndpointPort // sorted, each of another name
	names     map[string]bool       // of ports
	addresses []address             // ready ones first, then by IP
}

type address struct {
	ip    string // as netip prints it
	v6    bool
	ready bool
	from  *corev1.EndpointAddress
}

// losses are addresses that no group has.
type losses struct {
	invalid int // not IP addresses
	beyond  int // beyond the limits
}

// regroup says which addresses serve which ports, in the order of the ports. An
// address in several groups that are over their limits counts in each.
func regroup(subsets []corev1.EndpointSubset) (list []*group, lost losses) {
	r := regrouping{combos: map[string]string{}, byContent: map[string][]*group{}}
	r.know(subsets)
	for _, o := range offersOf(subsets) {
		r.assign(o)
	}
	return r.list, r.lost
}

// offer is a port and the subsets that have it, by their indexes.
type offer struct {
	port *corev1.EndpointPort // nil stands for subsets without ports
	by   []int
}

type portKey struct {
	name, protocol, appProtocol string
	number                      int32
	none                        bool
}

// offersOf are all ports of the subsets, sorted; no port comes last.
func offersOf(subsets []corev1.EndpointSubset) []*offer {
	at := map[portKey]*offer{}
	var list []*offer
	add := func(k portKey, port *corev1.EndpointPort, subset int) {
		o := at[k]
		if o == nil {
			o = &offer{port: port}
			at[k] = o
			list = append(list, o)
		}
		if n := len(o.by); n == 0 || o.by[n-1] != subset {
			o.by = append(o.by, subset)
		}
	}
	for i := range subsets {
		for j := range subsets[i].Ports {
			p := &subsets[i].Ports[j]
			add(portKey{name: p.Name, protocol: string(p.Protocol), appProtocol: deref(p.AppProtocol), number: p.Port}, p, i)
		}
		if len(subsets[i].Ports) == 0 {
			add(portKey{none: true}, nil, i)
		}
	}
	slices.SortFunc(list, func(a, b *offer) int {
		if a.port == nil || b.port == nil {
			return cmp.Compare(len(b.ports()), len(a.ports()))
		}
		return comparePorts(a.port, b.port)
	})
	return list
}

func (o *offer) ports() []corev1.EndpointPort {
	if o.port == nil {
		return nil
	}
	return []corev1.EndpointPort{*o.port}
}

func comparePorts(a, b *corev1.EndpointPort) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol),
		strings.Compare(deref(a.AppProtocol), deref(b.AppProtocol)))
}

// regrouping is one call of regroup.
type regrouping struct {
	known     []address           // each one once, by IP
	members   [][]member          // of each subset
	combos    map[string]string   // contents by the indexes of the subsets
	byContent map[string][]*group // several only if names of ports clash
	list      []*group
	lost      losses
}

// member is an address, by its index in known, as one subset has it.
type member struct {
	index int
	ready bool
}

// identity is what makes two addresses one: several pods may have one address.
type identity struct {
	ip  netip.Addr
	uid types.UID
}

// know finds out which addresses there are, and which subset has which.
func (r *regrouping) know(subsets []corev1.EndpointSubset) {
	at := map[identity]int{} // in the order in which they are met
	add := func(m []member, list []corev1.EndpointAddress, ready bool) []member {
		for i := range list {
			ip, err := netip.ParseAddr(list[i].IP)
			if ip = ip.Unmap(); err != nil || ip.Zone() != "" {
				r.lost.invalid++
				continue
			}
			id := identity{ip, uid(&list[i])}
			if _, seen := at[id]; !seen {
				at[id] = len(r.known)
				r.known = append(r.known, address{ip: ip.String(), v6: ip.Is6(), from: &list[i]})
			}
			m = append(m, member{at[id], ready})
		}
		return m
	}
	for i := range subsets {
		r.members = append(r.members, add(add(nil, subsets[i].Addresses, true), subsets[i].NotReadyAddresses, false))
	}
	order := make([]int, len(r.known)) // sorted, and then the other way round
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		x, y := &r.known[a], &r.known[b]
		return cmp.Or(strings.Compare(x.ip, y.ip), cmp.Compare(uid(x.from), uid(y.from)))
	})
	sorted, place := make([]address, len(order)), make([]int, len(order))
	for i, old := range order {
		sorted[i], place[old] = r.known[old], i
	}
	r.known = sorted
	for _, list := range r.members {
		for i := range list {
			list[i].index = place[list[i].index]
		}
	}
}

func uid(a *corev1.EndpointAddress) types.UID {
	if a.TargetRef == nil {
		return ""
	}
	return a.TargetRef.UID
}

// assign puts a port into the group of the addresses that serve it.
func (r *regrouping) assign(o *offer) {
	content, ok := r.content(o.by)
	if !ok {
		for _, i := range o.by {
			r.lost.beyond += len(r.members[i])
		}
		return
	}
	for _, g := range r.byContent[content] {
		if o.port == nil {
			return // they have ports elsewhere
		}
		if !g.names[o.port.Name] {
			g.names[o.port.Name] = true
			g.ports = append(g.ports, *o.port)
			return
		}
	}
	n := len(content) - strings.Count(content, absent)
	if len(r.list) == subsetsMax {
		r.lost.beyond += n
		return
	}
	r.lost.beyond += max(0, n-addressesMax)
	g := &group{ports: o.ports(), names: map[string]bool{}, addresses: r.pick(content)}
	for _, p := range g.ports {
		g.names[p.Name] = true
	}
	r.byContent[content] = append(r.byContent[content], g)
	r.list = append(r.list, g)
}

// What a content says of an address.
const (
	absent   = "."
	isReady  = "+"
	notReady = "-"
)

// content says in a letter for each known address how some subsets together have it:
// one that is not ready anywhere is not ready. ok is false for one more combination
// than are looked at.
func (r *regrouping) content(by []int) (content string, ok bool) {
	id := fmt.Sprint(by)
	content, ok = r.combos[id]
	if ok || len(r.combos) == subsetsMax {
		return content, ok
	}
	letters := bytes.Repeat([]byte(absent), len(r.known))
	for _, i := range by {
		for _, m := range r.members[i] {
			switch {
			case !m.ready:
				letters[m.index] = notReady[0]
			case letters[m.index] == absent[0]:
				letters[m.index] = isReady[0]
			}
		}
	}
	r.combos[id] = string(letters)
	return r.combos[id], true
}

// pick are the addresses of a content, ready ones first, no more than are mirrored.
func (r *regrouping) pick(content string) (list []address) {
	for _, state := range []string{isReady, notReady} {
		for i := 0; i < len(content) && len(list) < addressesMax; i++ {
			if content[i] == state[0] {
				a := r.known[i]
				a.ready = state == isReady
				list = append(list, a)
			}
		}
	}
	return list
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
