// Command load asks a URL at a steady rate and ends with one line of JSON: how many
// requests succeeded and failed, and how long they took. Requests are begun when they
// are due, whether earlier ones have been answered or not, so that a server that stalls
// is seen to.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Limits.
const (
	rateMax     = 10_000
	requestsMax = 1_000_000
	underwayMax = 1_000 // requests; what is due beyond them counts as failed
)

type summary struct {
	Requests  int            `json:"requests"`
	Succeeded int            `json:"succeeded"`
	Failed    int            `json:"failed"`
	P50       float64        `json:"p50Ms"`
	P90       float64        `json:"p90Ms"`
	P99       float64        `json:"p99Ms"`
	Max       float64        `json:"maxMs"`
	Errors    map[string]int `json:"errors,omitempty"`
}

type load struct {
	client http.Client
	url    string
	mu     sync.Mutex
	took   []time.Duration // of those that succeeded
	sum    summary
}

func main() {
	url := flag.String("url", "", "URL to ask")
	rate := flag.Int("rate", 10, "requests per second")
	duration := flag.Duration("duration", 10*time.Second, "how long; it ends earlier on SIGTERM")
	timeout := flag.Duration("timeout", time.Second, "for one request")
	reuse := flag.Bool("keepalive", false, "use connections again; without, each request is balanced anew")
	flag.Parse()
	if *url == "" || *rate < 1 || *rate > rateMax || *duration <= 0 || float64(*rate)*duration.Seconds() > requestsMax {
		fmt.Fprintf(os.Stderr, "load: want --url, --rate from 1 to %d, --duration above 0, and at most %d requests\n", rateMax, requestsMax)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()
	l := &load{url: *url, client: http.Client{Timeout: *timeout, Transport: &http.Transport{DisableKeepAlives: !*reuse, MaxIdleConnsPerHost: underwayMax}}}
	l.run(ctx, time.Second/time.Duration(*rate))
	if err := json.NewEncoder(os.Stdout).Encode(l.summary()); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func (l *load) run(ctx context.Context, every time.Duration) {
	due := time.NewTicker(every)
	defer due.Stop()
	turns := make(chan struct{}, underwayMax)
	var all sync.WaitGroup
	defer all.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-due.C:
		}
		select {
		case turns <- struct{}{}:
			all.Go(func() {
				l.ask()
				<-turns
			})
		default:
			l.count(0, "too many under way")
		}
	}
}

func (l *load) ask() {
	start := time.Now()
	resp, err := l.client.Get(l.url)
	if err != nil {
		l.count(0, reason(err))
		return
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		l.count(0, reason(err))
		return
	}
	if resp.StatusCode >= http.StatusBadRequest {
		l.count(0, resp.Status)
		return
	}
	l.count(time.Since(start), "")
}

// reason is without what differs from request to request.
func reason(err error) string {
	for {
		next, ok := err.(interface{ Unwrap() error })
		if !ok || next.Unwrap() == nil {
			return err.Error()
		}
		err = next.Unwrap()
	}
}

func (l *load) count(took time.Duration, failure string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum.Requests++
	if failure == "" {
		l.sum.Succeeded++
		l.took = append(l.took, took)
		return
	}
	l.sum.Failed++
	if l.sum.Errors == nil {
		l.sum.Errors = map[string]int{}
	}
	l.sum.Errors[failure]++
}

func (l *load) summary() summary {
	slices.Sort(l.took)
	at := func(percent int) float64 {
		if len(l.took) == 0 {
			return 0
		}
		i := min(len(l.took)*percent/100, len(l.took)-1)
		return float64(l.took[i].Microseconds()) / 1000
	}
	l.sum.P50, l.sum.P90, l.sum.P99, l.sum.Max = at(50), at(90), at(99), at(100)
	return l.sum
}
