package agent

import (
	"bufio"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// kubeletVersion is the Kubernetes release whose node agent ours is like.
const kubeletVersion = "v1.37.2"

// template is the node as the agent registers it.
func (c *Config) template() (*corev1.Node, error) {
	n := &corev1.Node{}
	n.Name = c.NodeName
	n.Labels = maps.Clone(c.Labels)
	n.Spec.Taints = c.Taints
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: c.NodeIP.String()}, {Type: corev1.NodeHostName, Address: c.NodeName}}
	n.Status.DaemonEndpoints.KubeletEndpoint.Port = c.KubeletPort
	info, err := nodeInfo()
	if err != nil {
		return nil, err
	}
	n.Status.NodeInfo = info
	n.Status.Capacity, err = c.capacity()
	if err != nil {
		return nil, err
	}
	n.Status.Allocatable = corev1.ResourceList{}
	for name, q := range n.Status.Capacity {
		left := q.DeepCopy()
		left.Sub(c.Reserved[name])
		if left.Sign() < 0 {
			return nil, fmt.Errorf("%s: %s are reserved of %s: want no more than there is", name, new(c.Reserved[name]).String(), q.String())
		}
		n.Status.Allocatable[name] = left
	}
	return n, nil
}

func (c *Config) capacity() (corev1.ResourceList, error) {
	memory, err := memoryField("MemTotal:")
	if err != nil {
		return nil, err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(c.DataDir, &fs); err != nil {
		return nil, err
	}
	list := corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(goruntime.NumCPU()), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(memory, resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(DefaultPodsMax, resource.DecimalSI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(int64(fs.Blocks)*fs.Bsize, resource.BinarySI),
	}
	maps.Copy(list, c.Capacity)
	return list, nil
}

// memoryField is one of the lines of /proc/meminfo, in bytes.
func memoryField(name string) (int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) >= 2 && fields[0] == name {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/meminfo: there is no %s", name)
}

func nodeInfo() (corev1.NodeSystemInfo, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return corev1.NodeSystemInfo{}, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return corev1.NodeSystemInfo{}, err
	}
	info := corev1.NodeSystemInfo{
		KernelVersion: unix.ByteSliceToString(u.Release[:]), BootID: strings.TrimSpace(string(boot)), OSImage: osImage(),
		OperatingSystem: goruntime.GOOS, Architecture: goruntime.GOARCH,
		KubeletVersion: kubeletVersion, ContainerRuntimeVersion: "seatrial://1",
	}
	// Hosts in containers may have none.
	if id, err := os.ReadFile("/etc/machine-id"); err == nil {
		info.MachineID = strings.TrimSpace(string(id))
		info.SystemUUID = info.MachineID
	}
	return info, nil
}

// osImage is the system's own name for itself.
func osImage() string {
	raw, _ := os.ReadFile("/etc/os-release")
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(v, `"`)
		}
	}
	return "Linux"
}

// ownIP is the address from which this host reaches the server.
func ownIP(server string) (netip.Addr, error) {
	host := strings.TrimPrefix(server, "https://")
	conn, err := net.Dial("udp", strings.TrimSuffix(host, "/"))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find the address of this host: %w", err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}
