package standin

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"seatrial.dev/seatrial/scenarios/standin/behaviour"
)

// purpose is what something is asked for; a set of them is their sum.
type purpose uint8

const (
	hook purpose = 1 << iota
	liveness
	readiness
)

// asked is what containers are asked, on which ports. The zero value is empty.
type asked struct {
	ports map[int32]behaviour.Port
	what  map[string]purpose
}

// alone are the things that are asked for one purpose only.
func (a *asked) alone(p purpose) (out []string) {
	for _, ask := range slices.Sorted(maps.Keys(a.what)) {
		if a.what[ask] == p {
			out = append(out, ask)
		}
	}
	return out
}

func (a *asked) container(u use) {
	c := u.container
	for _, p := range c.Ports {
		if p.Protocol == "" || p.Protocol == corev1.ProtocolTCP {
			a.port(p.ContainerPort)
		}
	}
	for _, n := range u.targets {
		a.port(n)
	}
	for _, p := range []struct {
		probe *corev1.Probe
		of    purpose
	}{{c.LivenessProbe, liveness}, {c.ReadinessProbe, readiness}, {c.StartupProbe, readiness}} {
		if p.probe != nil {
			h := &p.probe.ProbeHandler
			a.handler(c, p.of, h.Exec, h.HTTPGet, h.TCPSocket)
			if h.GRPC != nil {
				a.port(h.GRPC.Port)
				a.ask(behaviour.GRPCAsk, p.of)
			}
		}
	}
	for _, h := range hooks(c) {
		a.handler(c, hook, h.Exec, h.HTTPGet, h.TCPSocket)
	}
}

func (a *asked) handler(c *corev1.Container, of purpose, exec *corev1.ExecAction, get *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction) {
	switch {
	case exec != nil:
		a.ask(behaviour.ExecAsk(exec.Command), of)
	case get != nil && get.Host == "":
		p := a.port(number(c, get.Port))
		if p.Number > 0 && get.Scheme == corev1.URISchemeHTTPS {
			p.TLS = true
			a.ports[p.Number] = p
		}
		a.ask(behaviour.HTTPAsk(get.Path), of)
	case tcp != nil && tcp.Host == "":
		p := a.port(number(c, tcp.Port))
		if p.Number > 0 && of == readiness {
			p.Probed = true
			a.ports[p.Number] = p
		}
	}
}

func (a *asked) ask(what string, of purpose) {
	if a.what == nil {
		a.what = map[string]purpose{}
	}
	a.what[what] |= of
}

// port notes a port; one that cannot be is left out.
func (a *asked) port(n int32) behaviour.Port {
	if n < 1 || n > 65535 {
		return behaviour.Port{}
	}
	if a.ports == nil {
		a.ports = map[int32]behaviour.Port{}
	}
	p := a.ports[n]
	p.Number = n
	a.ports[n] = p
	return p
}

// number is a port by its number or its name in the container; 0 if there is none.
func number(c *corev1.Container, p intstr.IntOrString) int32 {
	if p.Type == intstr.Int {
		return p.IntVal
	}
	for _, known := range c.Ports {
		if known.Name == p.StrVal {
			return known.ContainerPort
		}
	}
	return 0
}
