//go:build linux

package main

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"seatrial.dev/seatrial/scenarios/standin/behaviour"
)

// everyMin is the least time between two lines of a rule.
const everyMin = time.Millisecond

// process is the main process.
type process struct {
	b    *behaviour.Behaviour
	runs time.Time // when it has started up
	host string
	out  sync.Mutex // of the standard output

	// Commands of more than a line are asked about as one line.
	hooks, liveness []string
}

func newProcess(b *behaviour.Behaviour, began time.Time) (*process, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	return &process{b: b, runs: began.Add(time.Duration(b.Startup)), host: host, hooks: lines(b.Hooks), liveness: lines(b.Liveness)}, nil
}

func lines(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ReplaceAll(s, "\n", " ")
	}
	return out
}

// run is the process from its start to its end.
func (p *process) run() int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	p.listen()
	select {
	case <-stop:
		return p.stopped()
	case <-time.After(time.Until(p.runs)):
	}
	p.write()
	go p.hold()
	var end <-chan time.Time
	if p.b.RunFor > 0 {
		end = time.After(time.Until(p.runs.Add(time.Duration(p.b.RunFor))))
	}
	select {
	case <-stop:
		return p.stopped()
	case <-end:
	}
	return p.ended(p.b.ExitCode)
}

// stopped heeds TERM.
func (p *process) stopped() int {
	time.Sleep(time.Duration(p.b.StopAfter))
	return p.ended(0)
}

func (p *process) ended(code int) int {
	if len(p.b.Logs) == 0 {
		p.line(fmt.Sprintf("exited with code %d", code))
	}
	p.out.Lock() // a line is written whole or not at all
	return code
}

// ready is when it is; sick when it is no longer healthy, the zero time if never.
func (p *process) ready() time.Time { return p.runs.Add(time.Duration(p.b.ReadyAfter)) }

func (p *process) sick() (at time.Time) {
	if p.b.UnhealthyAfter > 0 {
		at = p.runs.Add(time.Duration(p.b.UnhealthyAfter))
	}
	return at
}

// problem is why what is asked has no good answer now; "" if it has.
func (p *process) problem(what string) string {
	now, sick := time.Now(), p.sick()
	switch {
	case slices.Contains(p.hooks, what):
	case !sick.IsZero() && !now.Before(sick):
		return "unhealthy"
	case slices.Contains(p.liveness, what):
	case now.Before(p.ready()):
		return "not ready yet"
	}
	return ""
}

// write begins to write the log.
func (p *process) write() {
	if len(p.b.Logs) == 0 {
		p.line("started")
	}
	for _, rule := range p.b.Logs {
		go p.writeRule(rule)
	}
}

func (p *process) writeRule(rule behaviour.Log) {
	at := p.runs.Add(time.Duration(rule.At))
	for n := 0; ; n++ {
		time.Sleep(time.Until(at))
		p.line(strings.ReplaceAll(rule.Line, "{n}", fmt.Sprint(n)))
		if rule.Every <= 0 {
			return
		}
		at = at.Add(max(time.Duration(rule.Every), everyMin))
	}
}

func (p *process) line(text string) {
	p.out.Lock()
	defer p.out.Unlock()
	fmt.Println(text)
}
