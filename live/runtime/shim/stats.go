package shim

import (
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"

	"seatrial.dev/seatrial/live/runtime"
)

// stats are those of the pod and of each container that runs.
func (s *shim) stats() []runtime.Stats {
	s.mu.Lock()
	var running []*run
	for _, r := range s.runs {
		if r.container != nil && !r.ended() {
			running = append(running, r)
		}
	}
	made, path := s.pause != nil, s.cgroupPath()
	s.mu.Unlock()
	out := []runtime.Stats{}
	if made {
		if m, err := manager.New(&cgroups.Cgroup{Path: path, Resources: &cgroups.Resources{SkipDevices: true}}); err == nil {
			out = appendStats(out, m, runtime.ID{})
		}
	}
	for _, r := range running {
		out = appendStats(out, r.group, r.spec.ID)
	}
	return out
}

// appendStats leaves out what ends meanwhile.
func appendStats(out []runtime.Stats, m cgroups.Manager, id runtime.ID) []runtime.Stats {
	st, err := m.Stats(&cgroups.StatsOptions{Controllers: cgroups.CPU | cgroups.Memory | cgroups.Pids})
	if err != nil {
		if m.Exists() {
			fmt.Fprintf(os.Stderr, "statistics of %s: %v\n", m.Path("memory"), err)
		}
		return out
	}
	mem := &st.MemoryStats
	inactive, ok := mem.Stats["total_inactive_file"] // v1
	if !ok {
		inactive = mem.Stats["inactive_file"]
	}
	working := mem.Usage.Usage - min(inactive, mem.Usage.Usage)
	return append(out, runtime.Stats{
		Name: id.Name, Run: id.Run, Time: time.Now().UTC(),
		CPUNanos:        st.CpuStats.CpuUsage.TotalUsage,
		ThrottledNanos:  st.CpuStats.ThrottlingData.ThrottledTime,
		MemoryBytes:     mem.Usage.Usage,
		WorkingSetBytes: working,
		PIDs:            st.PidsStats.Current,
	})
}
