package bench

import (
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/sim"
	"seatrial.dev/seatrial/sim/play"
)

// Result is one measurement.
type Result struct {
	Name       string  `json:"name"`
	What       string  `json:"what"`
	Runs       int     `json:"runs"`
	MinMS      float64 `json:"minMs"`    // wall time of one run
	MedianMS   float64 `json:"medianMs"` // the figure to quote
	MaxMS      float64 `json:"maxMs"`
	CPUSeconds float64 `json:"cpuSeconds"`        // user and system, per run
	HeapMiB    float64 `json:"heapMiB"`           // taken from the system by the heap, at most
	Events     uint64  `json:"events,omitempty"`  // of one run
	NSPerEvent float64 `json:"nsPerEvent"`        // by the median
	Virtual    string  `json:"virtual,omitempty"` // virtual time that one run covers
}

// Bench is something to be measured.
type Bench struct {
	Name string
	What string
	Runs int
	// run makes one run and says how many events it handled, and how much virtual
	// time it covered.
	run func() (events uint64, virtual time.Duration, err error)
}

// All lists the benchmarks; dir is where the scenario files are.
func All(dir string) []Bench {
	return []Bench{
		{"engine-100k", "push and pop of one event, 100,000 pending", 5, engine(100_000)},
		{"engine-1m", "push and pop of one event, 1,000,000 pending", 5, engine(1_000_000)},
		{"guestbook", "three tiers, a node dies and returns", 20, scenario(dir, "guestbook.yaml", true)},
		{"rolling-update", "a rollout under a crash, and back", 20, scenario(dir, "rolling-update.yaml", true)},
		{"thousand-nodes", "10,000 pods on 1,000 nodes to Running", 5, scenario(dir, "thousand-nodes.yaml", true)},
		{"quiet-day", "24 hours of 1,000 nodes and 10,000 pods", 3, scenario(dir, "quiet-day.yaml", true)},
	}
}

// Measure runs one benchmark after a warm-up. Runs use one processor, so that wall
// and processor time can be compared.
func Measure(b Bench) (Result, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r := Result{Name: b.Name, What: b.What, Runs: b.Runs}
	if _, _, err := b.run(); err != nil {
		return r, fmt.Errorf("%s: %w", b.Name, err)
	}
	var walls []time.Duration
	cpu := cpuTime()
	for range b.Runs {
		runtime.GC()
		start := time.Now()
		events, virtual, err := b.run()
		if err != nil {
			return r, fmt.Errorf("%s: %w", b.Name, err)
		}
		walls = append(walls, time.Since(start))
		r.Events = events
		if virtual > 0 {
			r.Virtual = virtual.String()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		r.HeapMiB = max(r.HeapMiB, float64(m.HeapSys-m.HeapReleased)/(1<<20))
	}
	r.CPUSeconds = (cpuTime() - cpu).Seconds() / float64(b.Runs)
	slices.Sort(walls)
	r.MinMS, r.MedianMS, r.MaxMS = ms(walls[0]), ms(walls[len(walls)/2]), ms(walls[len(walls)-1])
	r.NSPerEvent = r.MedianMS * 1e6 / float64(max(r.Events, 1))
	return r, nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Write prints a table of results.
func Write(w io.Writer, r Result) {
	fmt.Fprintf(w, "%-16s %10.2f %10.2f %10.2f ms  %8.3f cpu-s  %7.1f MiB  %9d events  %7.1f ns/event  %s\n",
		r.Name, r.MinMS, r.MedianMS, r.MaxMS, r.CPUSeconds, r.HeapMiB, r.Events, r.NSPerEvent, r.What)
}

// Header is the first line of the table that Write makes.
const Header = "name                    min     median        max"

// scenario plays a scenario file. judged says whether it must pass.
func scenario(dir, file string, judged bool) func() (uint64, time.Duration, error) {
	var scn *scenarios.Scenario
	return func() (uint64, time.Duration, error) {
		if scn == nil {
			var err error
			if scn, err = scenarios.Read(filepath.Join(dir, file)); err != nil {
				return 0, 0, err
			}
		}
		v, _ := play.Run(scn, play.Options{Seed: scn.Seed})
		if v.Err != nil {
			return 0, 0, v.Err
		}
		if judged && !v.Passed() {
			return 0, 0, fmt.Errorf("%s", &v)
		}
		return v.Events, v.Time, nil
	}
}

// engineEvents is how many events one run of an engine benchmark handles.
const engineEvents = 2_000_000

// ticker schedules one event for each that it handles, so the number pending stays
// the same. Nothing is drawn while it runs: the delays are drawn before.
type ticker struct {
	e      *sim.Engine
	id     sim.ActorID
	delays []time.Duration
	n      int
}

func (t *ticker) Handle(sim.Msg) {
	t.n++
	t.e.After(t.delays[t.n&(len(t.delays)-1)], t.id, sim.Msg{})
}

func engine(pending int) func() (uint64, time.Duration, error) {
	t := &ticker{delays: make([]time.Duration, 1<<16)}
	draw := rand.New(rand.NewPCG(1, 1))
	for i := range t.delays {
		t.delays[i] = time.Duration(draw.Uint64N(1_000_000))
	}
	t.e = sim.New(1)
	t.id = t.e.Register("ticker", t)
	return func() (uint64, time.Duration, error) {
		for t.e.Pending() < pending {
			t.n++
			t.e.After(t.delays[t.n&(len(t.delays)-1)]+time.Duration(t.e.Pending()%1000), t.id, sim.Msg{})
		}
		end := t.e.Handled() + engineEvents
		t.e.Run(1<<62, func() bool { return t.e.Handled() >= end })
		return engineEvents, 0, nil
	}
}
