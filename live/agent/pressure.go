package agent

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/nodeagent"
)

// hostEvery is how often the host is looked at, as with the kubelet.
const hostEvery = 10 * time.Second

// problems say why no pods can be started here, or reached; empty if they can.
type problems struct {
	bell
	mu     sync.Mutex
	byPart map[string]string
}

// set takes note of one part's problem, or that it has none.
func (p *problems) set(part, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byPart[part] == why {
		return
	}
	if p.byPart == nil {
		p.byPart = map[string]string{}
	}
	p.byPart[part] = why
	p.wake()
}

// text is in the kubelet's words where it has them.
func (p *problems) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if why := p.byPart[partNetwork]; why != "" {
		return "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:" + why
	}
	if why := p.byPart[partServices]; why != "" {
		return "the rules of services cannot be set: " + why
	}
	return ""
}

const (
	partNetwork  = "network"
	partServices = "services"
)

// watchHost tells the loop how the host fares.
func (a *Agent) watchHost(ctx context.Context) {
	every := time.NewTicker(hostEvery)
	defer every.Stop()
	for {
		host, err := a.hostNow()
		if err != nil {
			a.log("look at the host: %v", err)
		}
		a.tell(nodeagent.HostSeen{Host: host})
		select {
		case <-every.C:
		case <-a.problems.bell:
		case <-ctx.Done():
			return
		}
	}
}

func (a *Agent) hostNow() (h nodeagent.Host, err error) {
	h.Problem = a.problems.text()
	left, err := memoryField("MemAvailable:")
	if err != nil {
		return h, err
	}
	t := &a.cfg.Pressure
	h.Memory = t.Memory.short(uint64(left), uint64(a.memory))
	node, err := diskShort(a.cfg.DataDir, t.NodeDisk, t.NodeInodes)
	if err != nil {
		return h, err
	}
	images, err := diskShort(a.cfg.ImageDir, t.ImageDisk, t.NodeInodes)
	if err != nil {
		return h, err
	}
	h.Disk = node || images
	h.PIDs, err = pidsShort(t.PIDs)
	return h, err
}

// diskShort says whether a folder's file system has too few bytes or inodes left.
func diskShort(dir string, bytes, inodes Left) (bool, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return false, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	size := uint64(fs.Bsize)
	// Some file systems have no number of inodes.
	return bytes.short(fs.Bavail*size, fs.Blocks*size) || fs.Files > 0 && inodes.short(fs.Ffree, fs.Files), nil
}

func pidsShort(least Left) (bool, error) {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return false, err
	}
	limit, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil {
		return false, err
	}
	var a, b, c float64
	var running, all, most int64
	if _, err := fmt.Sscanf(string(load), "%g %g %g %d/%d", &a, &b, &c, &running, &all); err != nil {
		return false, fmt.Errorf("/proc/loadavg: %w", err)
	}
	if _, err := fmt.Sscan(string(limit), &most); err != nil {
		return false, fmt.Errorf("/proc/sys/kernel/pid_max: %w", err)
	}
	return least.short(uint64(max(most-all, 0)), uint64(most)), nil
}
