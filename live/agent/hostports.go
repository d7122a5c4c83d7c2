package agent

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/nodeagent/proxy"
)

// hostPortsOf are a pod's ports on the node, which lead to its address.
func hostPortsOf(pod *corev1.Pod, ip string) (out []proxy.HostPort) {
	at, err := netip.ParseAddr(ip)
	if err != nil || pod.Spec.HostNetwork {
		return nil
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			for _, p := range list[i].Ports {
				if p.HostPort == 0 {
					continue
				}
				h := proxy.HostPort{Pod: kinds.KeyOf(pod), Protocol: p.Protocol, Port: uint16(p.HostPort), To: netip.AddrPortFrom(at, uint16(p.ContainerPort))}
				if h.Protocol == "" {
					h.Protocol = corev1.ProtocolTCP
				}
				if own, err := netip.ParseAddr(p.HostIP); err == nil && !own.IsUnspecified() {
					h.Addr = own
				}
				out = append(out, h)
			}
		}
	}
	return out
}

// hostPorts are those of all pods that have a sandbox.
func (a *Agent) hostPorts() (out []proxy.HostPort) {
	for _, p := range a.pods.all() {
		p.mu.Lock()
		if p.up && p.api != nil {
			out = append(out, hostPortsOf(p.api, p.ip)...)
		}
		p.mu.Unlock()
	}
	return out
}

// portTaken says whether another pod's sandbox still has a port that this one wants. The
// core admits no pod whose port is another's, but frees a port when the pod has ended,
// which its sandbox may outlive by a moment.
func (a *Agent) portTaken(pod *corev1.Pod, ip string) error {
	have := a.hostPorts()
	for _, h := range hostPortsOf(pod, ip) {
		for _, o := range have {
			if o.Pod != h.Pod && h.Clashes(o) {
				return fmt.Errorf("hostPort %d/%s is taken by pod %s", h.Port, h.Protocol, o.Pod)
			}
		}
	}
	return nil
}

// setUp takes note that a pod has a sandbox, or has it no longer.
func (a *Agent) setUp(p *pod, up bool) {
	p.mu.Lock()
	changed := p.up != up
	p.up = up
	p.mu.Unlock()
	if changed {
		a.proxy.wake()
	}
}
