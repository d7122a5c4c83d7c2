package container

import (
	"fmt"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// refusal is the error of a field that this agent does not carry out: to leave it out
// without a word would break what the pod relies on.
func refusal(field, instead string) error {
	text := field + " is not supported by this node's agent"
	if instead != "" {
		text += ": want " + instead
	}
	return fmt.Errorf("%s", text)
}

// Host is what a host has by which some fields are carried out, or mean nothing.
type Host struct {
	// SELinux says that the host labels its processes. This agent does not, so a pod
	// that asks for a label is refused; on a host without SELinux the label says
	// nothing, and the pod runs, as with other runtimes.
	SELinux bool
}

// ThisHost looks at the host.
func ThisHost() Host {
	_, err := os.Stat("/sys/fs/selinux/enforce")
	return Host{SELinux: err == nil}
}

// RefusedPod says what a pod as a whole asks for and does not get here.
// testdata/fields has the decision on each field there is.
func (h Host) RefusedPod(pod *corev1.Pod) error {
	s := &pod.Spec
	switch {
	case s.HostUsers != nil && !*s.HostUsers:
		return refusal("hostUsers: false", "")
	case s.RuntimeClassName != nil && *s.RuntimeClassName != "":
		return refusal("runtimeClassName "+*s.RuntimeClassName, "none")
	case len(s.ResourceClaims) > 0:
		return refusal("resourceClaims", "none")
	case s.OS != nil && s.OS.Name != corev1.Linux:
		return refusal("os.name "+string(s.OS.Name), string(corev1.Linux))
	}
	if c := s.SecurityContext; c != nil {
		if err := h.refusedProfiles(c.SeccompProfile, c.AppArmorProfile, c.SELinuxOptions, c.WindowsOptions); err != nil {
			return fmt.Errorf("securityContext.%w", err)
		}
		for _, set := range c.Sysctls {
			// The words are those of the kubelet.
			if !slices.Contains(safeSysctls(), set.Name) {
				return fmt.Errorf("forbidden sysctl: %q not allowlisted", set.Name)
			}
		}
	}
	for i := range s.Volumes {
		if err := refusedVolume(&s.Volumes[i]); err != nil {
			return err
		}
	}
	if s.Resources != nil {
		return refusedResources(&corev1.ResourceRequirements{Limits: s.Resources.Limits, Requests: s.Resources.Requests, Claims: s.Resources.Claims})
	}
	return nil
}

// safeSysctls are those that the kubelet lets any pod set: they are of its namespaces
// alone and cost others nothing.
func safeSysctls() []string {
	return []string{
		"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
		"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
		"net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
		"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
	}
}

// refusedProfiles says which of the confinements that a context names is not to be had.
func (h Host) refusedProfiles(seccomp *corev1.SeccompProfile, armor *corev1.AppArmorProfile, linux *corev1.SELinuxOptions, windows *corev1.WindowsSecurityContextOptions) error {
	switch {
	case seccomp != nil && seccomp.Type != corev1.SeccompProfileTypeRuntimeDefault && seccomp.Type != corev1.SeccompProfileTypeUnconfined:
		return refusal(fmt.Sprintf("seccompProfile.type %s", seccomp.Type), "RuntimeDefault or Unconfined")
	case armor != nil && armor.Type != corev1.AppArmorProfileTypeUnconfined:
		return refusal(fmt.Sprintf("appArmorProfile.type %s", armor.Type), "Unconfined")
	case h.SELinux && linux != nil && *linux != corev1.SELinuxOptions{}:
		return refusal("seLinuxOptions", "none")
	case windows != nil && *windows != corev1.WindowsSecurityContextOptions{}:
		return refusal("windowsOptions", "none")
	}
	return nil
}

// Refused says what a container of a pod asks for and does not get here.
func (h Host) Refused(pod *corev1.Pod, c *corev1.Container) error {
	if s := c.SecurityContext; s != nil {
		if err := h.refusedProfiles(s.SeccompProfile, s.AppArmorProfile, s.SELinuxOptions, s.WindowsOptions); err != nil {
			return fmt.Errorf("securityContext.%w", err)
		}
		privileged := s.Privileged != nil && *s.Privileged
		if s.ProcMount != nil && *s.ProcMount != corev1.DefaultProcMount && !privileged {
			return refusal("securityContext.procMount "+string(*s.ProcMount), "Default, or privileged: true") // it needs hostUsers: false
		}
	}
	if err := refusedResources(&c.Resources); err != nil {
		return err
	}
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		if m.RecursiveReadOnly != nil && *m.RecursiveReadOnly == corev1.RecursiveReadOnlyEnabled {
			return refusal(fmt.Sprintf("volumeMounts[%d].recursiveReadOnly Enabled", i), "Disabled or IfPossible")
		}
		if len(m.BindMountOptions) > 0 {
			return refusal(fmt.Sprintf("volumeMounts[%d].bindMountOptions", i), "none")
		}
	}
	if len(c.VolumeDevices) > 0 {
		return refusal("volumeDevices", "volumeMounts")
	}
	for i := range c.Env {
		if f := c.Env[i].ValueFrom; f != nil && f.FileKeyRef != nil {
			return refusal(fmt.Sprintf("env[%d].valueFrom.fileKeyRef", i), "")
		}
	}
	return refusedProbes(c)
}

func refusedResources(r *corev1.ResourceRequirements) error {
	if len(r.Claims) > 0 {
		return refusal("resources.claims", "none")
	}
	for _, list := range []corev1.ResourceList{r.Limits, r.Requests} {
		for name := range list {
			if strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
				return refusal("resources: "+string(name), "memory")
			}
		}
	}
	return nil
}

func refusedProbes(c *corev1.Container) error {
	for name, p := range map[string]*corev1.Probe{"livenessProbe": c.LivenessProbe, "readinessProbe": c.ReadinessProbe, "startupProbe": c.StartupProbe} {
		if p == nil {
			continue
		}
		if g := p.HTTPGet; g != nil && g.Protocol != nil && *g.Protocol != corev1.HTTPProtocolHTTP1 {
			return refusal(fmt.Sprintf("%s.httpGet.protocol %s", name, *g.Protocol), string(corev1.HTTPProtocolHTTP1))
		}
		if g := p.GRPC; g != nil && g.Mode != nil && *g.Mode != corev1.GRPCProbeModePlaintext {
			return refusal(fmt.Sprintf("%s.grpc.mode %s", name, *g.Mode), string(corev1.GRPCProbeModePlaintext))
		}
	}
	return nil
}

// refusedVolume says what of a volume's own fields is not to be had; package volume says
// so of kinds of volumes.
func refusedVolume(v *corev1.Volume) error {
	user := func(at string, own *int64) error {
		if own == nil {
			return nil
		}
		return refusal(fmt.Sprintf("volume %q: %s", v.Name, at), "securityContext.fsGroup")
	}
	items := func(list []corev1.KeyToPath) error {
		for i := range list {
			if err := user("items.user", list[i].User); err != nil {
				return err
			}
		}
		return nil
	}
	files := func(list []corev1.DownwardAPIVolumeFile) error {
		for i := range list {
			if err := user("items.user", list[i].User); err != nil {
				return err
			}
		}
		return nil
	}
	switch {
	case v.EmptyDir != nil && v.EmptyDir.Mode != nil:
		return refusal(fmt.Sprintf("volume %q: emptyDir.mode", v.Name), "none")
	case v.ConfigMap != nil:
		return first(user("defaultUser", v.ConfigMap.DefaultUser), items(v.ConfigMap.Items))
	case v.Secret != nil:
		return first(user("defaultUser", v.Secret.DefaultUser), items(v.Secret.Items))
	case v.DownwardAPI != nil:
		return first(user("defaultUser", v.DownwardAPI.DefaultUser), files(v.DownwardAPI.Items))
	case v.Projected != nil:
		err := user("defaultUser", v.Projected.DefaultUser)
		for _, s := range v.Projected.Sources {
			switch {
			case s.ConfigMap != nil:
				err = first(err, items(s.ConfigMap.Items))
			case s.Secret != nil:
				err = first(err, items(s.Secret.Items))
			case s.DownwardAPI != nil:
				err = first(err, files(s.DownwardAPI.Items))
			case s.ServiceAccountToken != nil:
				err = first(err, user("serviceAccountToken.user", s.ServiceAccountToken.User))
			}
		}
		return err
	}
	return nil
}

func first(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}
