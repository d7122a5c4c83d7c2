package ctrl_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/ctrl"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func ref(name string) kinds.Ref { return kinds.Ref{Kind: kinds.Pod, Key: kinds.Key{Name: name}} }

// A line of a transcript is one call; its answer says what came of it.
//
//	add NAME CAUSE | at NAME DURATION CAUSE | pop RV | done NAME RV | retry NAME RV
//	next | wait DURATION
func TestQueue(t *testing.T) {
	datadriven.Walk(t, "testdata/queue", func(t *testing.T, path string) {
		q, now := ctrl.NewQueue(), start
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out []string
			for _, line := range strings.Split(d.Input, "\n") {
				out = append(out, line+call(t, q, &now, strings.Fields(line)))
			}
			return strings.Join(out, "\n")
		})
	})
}

func call(t *testing.T, q *ctrl.Queue, now *time.Time, w []string) string {
	number := func(i int) uint64 {
		n, err := strconv.ParseUint(w[i], 10, 64)
		require.NoError(t, err)
		return n
	}
	duration := func(i int) time.Duration {
		d, err := time.ParseDuration(w[i])
		require.NoError(t, err)
		return d
	}
	switch w[0] {
	case "add":
		q.Add(ref(w[1]), number(2))
	case "at":
		q.AddAt(now.Add(duration(2)), ref(w[1]), number(3))
	case "pop":
		r, cause, ok := q.Pop(*now, number(1))
		if !ok {
			return fmt.Sprintf(": none, %d waiting", q.Len())
		}
		return fmt.Sprintf(": %s because of %d", r.Name, cause)
	case "done":
		q.Done(ref(w[1]), number(2))
	case "retry":
		return ": in " + q.Retry(*now, ref(w[1]), number(2), 99).Sub(*now).String()
	case "next":
		at, ok := q.Next()
		if !ok {
			return ": never"
		}
		return ": in " + at.Sub(*now).String()
	case "wait":
		*now = now.Add(duration(1))
	default:
		t.Fatalf("unknown call %q", w[0])
	}
	return ""
}

// Whatever is asked for is handed out in the end, never twice at a time, never
// before its time and never before the view has the key's own writes.
func TestQueueLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, now, rv := ctrl.NewQueue(), start, uint64(0)
		asked, working, hold := map[string]bool{}, map[string]bool{}, map[string]uint64{}
		due := map[string]time.Time{}
		names := []string{"a", "b", "c"}
		settle := func(name string) { // a due wish is a wish
			if at, ok := due[name]; ok && !at.After(now) {
				asked[name] = true
				delete(due, name)
			}
		}
		pop := func() bool {
			r, _, ok := q.Pop(now, rv)
			for _, n := range names {
				settle(n)
			}
			if !ok {
				return false
			}
			if working[r.Name] || !asked[r.Name] || hold[r.Name] > rv {
				t.Fatalf("%s handed out: working %v, asked %v, held until %d at %d", r.Name, working[r.Name], asked[r.Name], hold[r.Name], rv)
			}
			working[r.Name], asked[r.Name] = true, false
			return true
		}
		wish := func(name string, at time.Time) {
			if was, ok := due[name]; !ok || at.Before(was) {
				due[name] = at
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			name := rapid.SampledFrom(names).Draw(t, "key")
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				q.Add(ref(name), 1)
				asked[name] = true
			case 1:
				at := now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "ms")) * time.Millisecond)
				q.AddAt(at, ref(name), 1)
				wish(name, at)
			case 2:
				pop()
			case 3:
				now, rv = now.Add(5*time.Millisecond), rv+uint64(rapid.IntRange(0, 2).Draw(t, "writes seen"))
			case 4:
				if working[name] {
					working[name] = false
					hold[name] = max(hold[name], rv+uint64(rapid.IntRange(0, 2).Draw(t, "writes")))
					q.Done(ref(name), hold[name])
				}
			case 5:
				if working[name] {
					working[name] = false
					wish(name, q.Retry(now, ref(name), 0, 1))
				}
			}
		}
		now, rv = now.Add(time.Hour), rv+1000
		for _, n := range names {
			if working[n] {
				q.Done(ref(n), 0)
				working[n] = false
			}
		}
		for pop() {
		}
		for _, n := range names {
			if asked[n] {
				t.Fatalf("%s was asked for and never handed out", n)
			}
		}
	})
}
