package server

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/kinds"
)

// keepAddresses lets nobody have packets sent to a service of his own that are for an
// address of the cluster: that of another service or of a pod, or of this server. An
// external IP is any address, and every node's rules would send it on, those of the API
// and of DNS included (CVE-2020-8554).
func (c *Config) keepAddresses(then apiserver.Admit) apiserver.Admit {
	own := []struct {
		of   string
		cidr netip.Prefix
	}{
		{"services", netip.MustParsePrefix(c.Network.ServiceCIDR)},
		{"pods", netip.MustParsePrefix(c.PodCIDR)},
		{"the API server", netip.PrefixFrom(c.Advertise, c.Advertise.BitLen())},
	}
	return func(u *auth.User, r *api.Request, stored kinds.Object) error {
		if svc, ok := r.Object.(*corev1.Service); ok {
			was, _ := stored.(*corev1.Service)
			for _, text := range outside(svc) {
				at, err := netip.ParseAddr(text)
				if err != nil || was != nil && slices.Contains(outside(was), text) {
					continue // said by validation, or there already
				}
				for _, o := range own {
					if o.cidr.Contains(at.Unmap()) {
						return apierrors.NewForbidden(kinds.Service.Info().GVR().GroupResource(), svc.Name,
							fmt.Errorf("address %s is one of %s (%s): want an address from outside of the cluster", at, o.of, o.cidr))
					}
				}
			}
		}
		return then(u, r, stored)
	}
}

// outside are the addresses of a service for others than the cluster.
func outside(s *corev1.Service) []string {
	list := slices.Clone(s.Spec.ExternalIPs)
	for _, in := range s.Status.LoadBalancer.Ingress {
		list = append(list, in.IP)
	}
	return list
}
