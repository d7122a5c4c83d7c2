package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/live/agent/container"
	"seatrial.dev/seatrial/live/agent/volume"
	podnet "seatrial.dev/seatrial/live/network"
	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/nodeagent"
)

// clearRetry is the wait before what is left of a pod is tried to be removed again.
const clearRetry = 2 * time.Second

// networkNotReady and volumesNotReady begin what nodeagent tries again soon.
const (
	networkNotReady = "network is not ready: "
	volumesNotReady = "volumes are not ready: "
)

// kept is what is written down of a pod, for the agent after this one.
type kept struct {
	Namespace, Name string
	IP              string
}

func (a *Agent) podDir(uid types.UID) string {
	return filepath.Join(a.cfg.DataDir, "pods", string(uid))
}

func (a *Agent) volumesDir(uid types.UID) string { return filepath.Join(a.podDir(uid), "volumes") }

func (a *Agent) logDir(pod *corev1.Pod) string {
	return filepath.Join(a.cfg.DataDir, "logs", pod.Namespace+"_"+pod.Name+"_"+string(pod.UID))
}

// makeSandbox gives a pod its volumes, address and namespaces.
func (a *Agent) makeSandbox(ctx context.Context, p *pod, pod *corev1.Pod) nodeagent.SandboxReady {
	p.touched = true
	ip, err := a.sandboxFor(ctx, p, pod)
	out := nodeagent.SandboxReady{Pod: pod.UID, IP: ip}
	if err != nil {
		out.Err = err.Error()
	}
	p.sandbox = err == nil
	a.setUp(p, p.sandbox)
	return out
}

func (a *Agent) sandboxFor(ctx context.Context, p *pod, pod *corev1.Pod) (ip string, err error) {
	if err := a.host.RefusedPod(pod); err != nil {
		return "", err
	}
	var net *podnet.Network
	if !pod.Spec.HostNetwork {
		if net = a.net.wait(ctx); net == nil {
			return "", errors.New(networkNotReady + a.net.why())
		}
	}
	dir := a.podDir(pod.UID)
	for _, d := range []string{dir, a.volumesDir(pod.UID), filepath.Join(dir, "etc"), filepath.Join(dir, "messages"), a.logDir(pod)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return "", err
		}
	}
	if err := a.setupVolumes(ctx, pod); err != nil {
		return "", errors.New(volumesNotReady + err.Error())
	}
	spec := runtime.SandboxSpec{Pod: string(pod.UID), QoS: container.QoS(pod), Resources: container.PodLimits(pod),
		SharePID: pod.Spec.ShareProcessNamespace != nil && *pod.Spec.ShareProcessNamespace, HostPID: pod.Spec.HostPID, HostIPC: pod.Spec.HostIPC}
	spec.QoSResources = container.QoSLimits(spec.QoS, a.requestedMilli(spec.QoS))
	if s := pod.Spec.SecurityContext; s != nil && len(s.Sysctls) > 0 {
		spec.Sysctls = map[string]string{}
		for _, c := range s.Sysctls {
			spec.Sysctls[c.Name] = c.Value
		}
	}
	if spec.Hostname, _, err = podnet.Hostname(pod, a.member.ClusterDomain); err != nil {
		return "", err
	}
	ip = a.cfg.NodeIP.String()
	if net != nil {
		at, err := net.AddPod(string(pod.UID))
		if err != nil {
			return "", err
		}
		spec.NetnsPath, ip = at.Netns, at.IP.String()
		if err := a.portTaken(pod, ip); err != nil {
			return "", err
		}
	} else {
		spec.Hostname = ""
	}
	if err := a.writeEtc(pod, ip, spec.Hostname); err != nil {
		return "", err
	}
	// A crash of the host that loses it loses the pod, too.
	if err := writeJSON(filepath.Join(dir, "pod.json"), kept{pod.Namespace, pod.Name, ip}, false); err != nil {
		return "", err
	}
	p.setAddress(ip)
	_, err = a.runtime.MakeSandbox(ctx, spec)
	if runtime.KindOf(err) == runtime.KindExists && err != nil {
		// It has lost its shim: another takes its place.
		if err := a.runtime.StopSandbox(ctx, spec.Pod); err != nil {
			return "", err
		}
		_, err = a.runtime.MakeSandbox(ctx, spec)
	}
	return ip, err
}

// requestedMilli is the CPU that the pods of a class ask for together.
func (a *Agent) requestedMilli(qos string) (sum int64) {
	for _, p := range a.pods.all() {
		if api := p.seen(); api != nil && !p.gone.Load() && container.QoS(api) == qos {
			sum += container.RequestedMilli(api)
		}
	}
	return sum
}

// writeEtc writes the files of /etc that are the pod's own.
func (a *Agent) writeEtc(pod *corev1.Pod, ip, hostname string) error {
	hosts, resolv := "", ""
	if raw, err := os.ReadFile("/etc/hosts"); err == nil && pod.Spec.HostNetwork {
		hosts = string(raw)
	}
	if raw, err := os.ReadFile("/etc/resolv.conf"); err == nil {
		resolv = string(raw)
	}
	dns := podnet.ClusterDNS{Domain: a.member.ClusterDomain}
	if a.member.ClusterDNS != "" {
		dns.Servers = []string{a.member.ClusterDNS}
	}
	content, warnings := podnet.Resolv(pod, dns, resolv)
	for _, w := range warnings {
		a.warn(pod, "DNSConfigForming", w)
	}
	if hostname == "" {
		hostname = a.cfg.NodeName
	}
	dir := filepath.Join(a.podDir(pod.UID), "etc")
	for name, text := range map[string]string{
		"hosts": podnet.Hosts(pod, []string{ip}, a.member.ClusterDomain, hosts), "resolv.conf": content, "hostname": hostname + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// stopSandbox leaves nothing of a pod on the host but its logs. It tries until it can.
func (a *Agent) stopSandbox(ctx context.Context, p *pod) {
	for {
		err := a.clear(ctx, p.uid)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		a.log("clear up after pod %s: %v", p.uid, err)
		if !sleep(ctx, clearRetry) {
			return
		}
	}
	p.sandbox, p.touched = false, false
	a.setUp(p, false)
	if p.gone.Load() {
		a.forgetIfDone(ctx, p)
	}
}

// clear removes what there may be of a pod.
func (a *Agent) clear(ctx context.Context, uid types.UID) error {
	if err := a.runtime.StopSandbox(ctx, string(uid)); err != nil {
		return err
	}
	mounts, err := a.images.Mounts()
	if err != nil {
		return err
	}
	own := filepath.Join(a.cfg.DataDir, "containers")
	for _, m := range mounts {
		if strings.HasPrefix(m.ID, string(uid)+"-") && filepath.Dir(m.Dir) == own {
			if err := a.images.Unmount(m.ID); err != nil {
				return err
			}
		}
	}
	if net := a.net.get(); net != nil {
		if err := net.DelPod(string(uid)); err != nil {
			return err
		}
	}
	if err := volume.Teardown(a.volumesDir(uid)); err != nil {
		return err
	}
	return os.RemoveAll(a.podDir(uid))
}

// forgetIfDone is called in the queue of a pod that the API no longer has.
func (a *Agent) forgetIfDone(ctx context.Context, p *pod) {
	if p.sandbox {
		return // its stop follows
	}
	if p.touched {
		a.stopSandbox(ctx, p) // which comes here again
		return
	}
	if api := p.seen(); api != nil {
		if err := os.RemoveAll(a.logDir(api)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			a.log("remove the logs of %s/%s: %v", api.Namespace, api.Name, err)
		}
	}
	a.tokens.forget(p.uid)
	a.pods.drop(p)
}
