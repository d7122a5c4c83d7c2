package backend

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// SliceName is the n-th name for the EndpointSlices of owner. Kubernetes has the API
// mint one; this one is the same when a plan is made again.
func SliceName(owner kinds.Object, n int) string {
	h := fnv.New32a()
	h.Write([]byte(owner.GetUID()))
	h.Write([]byte(strconv.Itoa(n)))
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	var suffix [5]byte
	for i, x := 0, h.Sum32(); i < len(suffix); i, x = i+1, x/uint32(len(letters)) {
		suffix[i] = letters[x%uint32(len(letters))]
	}
	return owner.GetName() + "-" + string(suffix[:])
}

// PortsID is a text that is equal for equal ports in the same order.
func PortsID(ports []discoveryv1.EndpointPort) string {
	var b strings.Builder
	for _, p := range ports {
		fmt.Fprintf(&b, "%s|%d|%s|%s;", deref(p.Name), deref(p.Port), deref(p.Protocol), deref(p.AppProtocol))
	}
	return b.String()
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
