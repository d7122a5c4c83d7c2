package columns

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

func networkPrinters() map[kinds.Kind]printer {
	return map[kinds.Kind]printer{
		kinds.Service:       {columns: columns("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "wide:Selector"), cells: serviceCells},
		kinds.Endpoints:     {columns: columns("Name", "Endpoints", "Age"), cells: endpointsCells},
		kinds.EndpointSlice: {columns: columns("Name", "AddressType", "Ports", "Endpoints", "Age"), cells: endpointSliceCells},
		kinds.Ingress:       {columns: columns("Name", "Class", "Hosts", "Address", "Ports", "Age"), cells: ingressCells},
		kinds.IngressClass: {columns: columns("Name", "Controller", "Parameters", "Age"), cells: func(o kinds.Object, now time.Time) []any {
			c := o.(*networkingv1.IngressClass)
			params := "<none>"
			if p := c.Spec.Parameters; p != nil {
				params = p.Kind
				if p.APIGroup != nil {
					params += "." + *p.APIGroup
				}
				params += "/" + p.Name
			}
			return []any{c.Name, c.Spec.Controller, params, age(c, now)}
		}},
		kinds.NetworkPolicy: {columns: columns("Name", "Pod-Selector", "Age"), cells: func(o kinds.Object, now time.Time) []any {
			p := o.(*networkingv1.NetworkPolicy)
			return []any{p.Name, selectorText(&p.Spec.PodSelector), age(p, now)}
		}},
		kinds.IPAddress: {columns: columns("Name", "ParentRef"), cells: func(o kinds.Object, _ time.Time) []any {
			ip := o.(*networkingv1.IPAddress)
			parent := "<none>"
			if r := ip.Spec.ParentRef; r != nil {
				parts := []string{r.Resource}
				for _, s := range []string{r.Group, r.Namespace, r.Name} {
					if s == r.Group && s != "" {
						parts[0] += "." + s
					} else if s != "" {
						parts = append(parts, s)
					}
				}
				parent = strings.Join(parts, "/")
			}
			return []any{ip.Name, parent}
		}},
		kinds.ServiceCIDR: {columns: columns("Name", "CIDRs", "Age"), cells: func(o kinds.Object, now time.Time) []any {
			s := o.(*networkingv1.ServiceCIDR)
			return []any{s.Name, strings.Join(s.Spec.CIDRs, ","), age(s, now)}
		}},
	}
}

func serviceCells(o kinds.Object, now time.Time) []any {
	s := o.(*corev1.Service)
	ip := "<none>"
	if len(s.Spec.ClusterIPs) > 0 {
		ip = s.Spec.ClusterIPs[0]
	} else if s.Spec.ClusterIP != "" {
		ip = s.Spec.ClusterIP
	}
	return []any{s.Name, string(s.Spec.Type), ip, externalIP(s), servicePorts(s.Spec.Ports), age(s, now), labelText(s.Spec.Selector)}
}

func externalIP(s *corev1.Service) string {
	given := strings.Join(s.Spec.ExternalIPs, ",")
	switch s.Spec.Type {
	case corev1.ServiceTypeExternalName:
		return s.Spec.ExternalName
	case corev1.ServiceTypeLoadBalancer:
		var list []string
		for _, i := range s.Status.LoadBalancer.Ingress {
			if i.IP != "" {
				list = append(list, i.IP)
			} else if i.Hostname != "" {
				list = append(list, i.Hostname)
			}
		}
		list = append(list, s.Spec.ExternalIPs...)
		if len(list) == 0 {
			return "<pending>"
		}
		return strings.Join(list, ",")
	}
	return orNone(given)
}

func servicePorts(ports []corev1.ServicePort) string {
	list := make([]string, len(ports))
	for i, p := range ports {
		list[i] = fmt.Sprintf("%d/%s", p.Port, p.Protocol)
		if p.NodePort > 0 {
			list[i] = fmt.Sprintf("%d:%d/%s", p.Port, p.NodePort, p.Protocol)
		}
	}
	return orNone(strings.Join(list, ","))
}

// endpointsShown is how many addresses a line shows.
const endpointsShown = 3

func firstFew(list []string) string {
	if len(list) > endpointsShown {
		return fmt.Sprintf("%s + %d more...", strings.Join(list[:endpointsShown], ","), len(list)-endpointsShown)
	}
	return strings.Join(list, ",")
}

func endpointsCells(o kinds.Object, now time.Time) []any {
	e := o.(*corev1.Endpoints)
	var list []string
	for _, s := range e.Subsets {
		for _, a := range s.Addresses {
			if len(s.Ports) == 0 {
				list = append(list, a.IP)
			}
			for _, p := range s.Ports {
				list = append(list, a.IP+":"+strconv.Itoa(int(p.Port)))
			}
		}
	}
	return []any{e.Name, orNone(firstFew(list)), age(e, now)}
}

func endpointSliceCells(o kinds.Object, now time.Time) []any {
	s := o.(*discoveryv1.EndpointSlice)
	var ports, addresses []string
	for _, p := range s.Ports {
		switch {
		case p.Port != nil:
			ports = append(ports, strconv.Itoa(int(*p.Port)))
		default:
			ports = append(ports, "*")
		}
	}
	for _, e := range s.Endpoints {
		addresses = append(addresses, e.Addresses...)
	}
	return []any{s.Name, string(s.AddressType), orUnset(firstFew(ports)), orUnset(firstFew(addresses)), age(s, now)}
}

func ingressCells(o kinds.Object, now time.Time) []any {
	i := o.(*networkingv1.Ingress)
	class := "<none>"
	if i.Spec.IngressClassName != nil {
		class = *i.Spec.IngressClassName
	}
	var hosts, addresses []string
	for _, r := range i.Spec.Rules {
		if r.Host != "" && !slices.Contains(hosts, r.Host) {
			hosts = append(hosts, r.Host)
		}
	}
	for _, a := range i.Status.LoadBalancer.Ingress {
		if a.IP != "" {
			addresses = append(addresses, a.IP)
		} else if a.Hostname != "" {
			addresses = append(addresses, a.Hostname)
		}
	}
	ports := "80"
	if len(i.Spec.TLS) > 0 {
		ports = "80, 443"
	}
	host := firstFew(hosts)
	if host == "" {
		host = "*"
	}
	return []any{i.Name, class, host, strings.Join(addresses, ","), ports, age(i, now)}
}
