package server

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
)

// begin makes what an API server makes at its first start, and says where it is now.
func (p *Plane) begin(ctx context.Context, at netip.AddrPort, cfg *Config) error {
	list := make([]kinds.Object, 0, 8)
	for _, name := range []string{metav1.NamespaceDefault, view.NodeLeaseNamespace, metav1.NamespacePublic, metav1.NamespaceSystem} {
		list = append(list, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	list = append(list, apiService(cfg.ServiceIP()), apiEndpoints(at), apiSlice(at), dnsService(cfg.DNSIP()), proxiers())
	var err error
	derr := p.Do(ctx, func(now time.Time, a *api.API) {
		for _, o := range list {
			if err = ensure(now, a, o); err != nil {
				return
			}
		}
	})
	if derr != nil {
		return derr
	}
	return err
}

// ensure creates an object that is not there, and puts right where the API is.
func ensure(now time.Time, a *api.API, o kinds.Object) error {
	switch old := a.Store().Get(kinds.RefOf(o)).(type) {
	case nil:
		if _, err := a.Do(now, api.Create(o)); err != nil {
			return fmt.Errorf("create %s: %w", kinds.RefOf(o), err)
		}
	case *corev1.Endpoints:
		c := old.DeepCopy()
		c.Subsets = o.(*corev1.Endpoints).Subsets
		return update(now, a, old, c)
	case *discoveryv1.EndpointSlice:
		c := old.DeepCopy()
		want := o.(*discoveryv1.EndpointSlice)
		c.Endpoints, c.Ports = want.Endpoints, want.Ports
		return update(now, a, old, c)
	}
	return nil
}

func update(now time.Time, a *api.API, old, o kinds.Object) error {
	if equality.Semantic.DeepEqual(old, o) {
		return nil
	}
	if _, err := a.Do(now, api.Update(o)); err != nil {
		return fmt.Errorf("update %s: %w", kinds.RefOf(o), err)
	}
	return nil
}

const apiName = "kubernetes"

func apiService(ip netip.Addr) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: apiName, Labels: map[string]string{"component": "apiserver", "provider": apiName}},
		Spec:       corev1.ServiceSpec{ClusterIP: ip.String(), Ports: []corev1.ServicePort{{Name: "https", Port: 443}}},
	}
}

// apiEndpoints are where the service leads. (The label keeps a mirror of it from being
// made: the slice is made here.)
func apiEndpoints(at netip.AddrPort) *corev1.Endpoints {
	return &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: apiName, Labels: map[string]string{discoveryv1.LabelSkipMirror: "true"}},
		Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{IP: at.Addr().String()}},
			Ports:     []corev1.EndpointPort{{Name: "https", Port: int32(at.Port()), Protocol: corev1.ProtocolTCP}},
		}},
	}
}

func apiSlice(at netip.AddrPort) *discoveryv1.EndpointSlice {
	name, port, tcp, ready := "https", int32(at.Port()), corev1.ProtocolTCP, true
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: apiName, Labels: map[string]string{discoveryv1.LabelServiceName: apiName}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{at.Addr().String()}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &tcp}},
	}
}

// proxiers lets agents see what a service proxy must: each has one in it.
func proxiers() *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "seatrial.dev:node-proxiers"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:node-proxier"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: nodesGroup}},
	}
}

// dnsProxy keeps service proxies away from the DNS service: each node's agent answers at
// its address itself.
const dnsProxy = "seatrial-node-dns"

// dnsService holds the address of cluster DNS, so that no other service gets it.
func dnsService(ip netip.Addr) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "kube-dns", Labels: map[string]string{
			"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS", "service.kubernetes.io/service-proxy-name": dnsProxy}},
		Spec: corev1.ServiceSpec{ClusterIP: ip.String(), Ports: []corev1.ServicePort{
			{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP}}},
	}
}
