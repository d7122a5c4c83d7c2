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

// What there is to be left of the host at least: the kubelet's evictionHard, in percent
// but for memory. Kubernetes names nothing for processes.
const (
	memoryLeftMin = 100 << 20
	diskLeftMin   = 10 // of the pods' file system
	imageLeftMin  = 15 // of the images' file system
	inodesLeftMin = 5
	pidsLeftMin   = 5
)

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
	h.Memory = left < memoryLeftMin
	for dir, min := range map[string]uint64{a.cfg.DataDir: diskLeftMin, a.cfg.ImageDir: imageLeftMin} {
		short, err := diskShort(dir, min)
		if err != nil {
			return h, err
		}
		h.Disk = h.Disk || short
	}
	h.PIDs, err = pidsShort()
	return h, err
}

// diskShort says whether a folder's file system has less left than percent of its bytes,
// or than inodesLeftMin of its inodes.
func diskShort(dir string, percent uint64) (bool, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return false, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	// Some file systems have no number of inodes.
	return fs.Bavail*100 < fs.Blocks*percent || fs.Ffree*100 < fs.Files*inodesLeftMin, nil
}

func pidsShort() (bool, error) {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return false, err
	}
	most, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil {
		return false, err
	}
	var a, b, c float64
	var running, all, max int64
	if _, err := fmt.Sscanf(string(load), "%g %g %g %d/%d", &a, &b, &c, &running, &all); err != nil {
		return false, fmt.Errorf("/proc/loadavg: %w", err)
	}
	if _, err := fmt.Sscan(string(most), &max); err != nil {
		return false, fmt.Errorf("/proc/sys/kernel/pid_max: %w", err)
	}
	return (max-all)*100 < max*pidsLeftMin, nil
}
