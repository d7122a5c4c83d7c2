package world

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/scenarios"
)

// logLinesMax bounds the lines of one run of a container that are kept, as a
// rotated log file would; the latest stay.
const logLinesMax = 10_000

// LogLine is one line that a container wrote.
type LogLine struct {
	At   time.Duration // virtual time
	Text string
}

// life is when a run of a container began and ended; its log follows from that and
// from the image's rule.
type life struct {
	run        int32
	image      scenarios.Image
	start, end time.Duration // end 0: it runs
	exit       int32
}

// logs works out the lines of a container's run.
func (r *runtime) logs(pod types.UID, container string, previous bool, now time.Duration) ([]LogLine, bool) {
	lives := r.lives[pod][container]
	i := len(lives) - 1
	if previous {
		i--
	}
	if i < 0 {
		return nil, false
	}
	return lives[i].lines(now), true
}

func (l *life) lines(now time.Duration) []LogLine {
	end := now
	if l.end > 0 {
		end = min(l.end, now)
	}
	var out []LogLine
	add := func(at time.Duration, format string, n int) {
		text := strings.ReplaceAll(format, "{n}", fmt.Sprint(n))
		out = append(out, LogLine{at, text})
	}
	if len(l.image.Logs) == 0 {
		add(l.start, "started", 0)
	}
	for _, rule := range l.image.Logs {
		at := l.start + rule.At
		for n := 0; at <= end; n++ {
			add(at, rule.Line, n)
			if rule.Every <= 0 {
				break
			}
			if skip := (end - at) / rule.Every; n == 0 && skip > logLinesMax { // only the latest are kept
				n, at = int(skip-logLinesMax), at+(skip-logLinesMax)*rule.Every
			}
			at += rule.Every
		}
	}
	if l.end > 0 && l.end <= now && len(l.image.Logs) == 0 {
		add(l.end, fmt.Sprintf("exited with code %d", l.exit), 0)
	}
	slices.SortStableFunc(out, func(a, b LogLine) int { return cmp.Compare(a.At, b.At) })
	return out[max(0, len(out)-logLinesMax):]
}

// began and ended keep the last two lives of each container.
func (r *runtime) began(c *container, now time.Duration) {
	of := r.lives[c.id.Pod]
	if of == nil {
		of = map[string][]life{}
		r.lives[c.id.Pod] = of
	}
	lives := append(of[c.id.Name], life{run: c.id.Run, image: c.image, start: now})
	of[c.id.Name] = lives[max(0, len(lives)-2):]
}

func (r *runtime) ended(c *container, now time.Duration, exit int32) {
	lives := r.lives[c.id.Pod][c.id.Name]
	if n := len(lives); n > 0 && lives[n-1].run == c.id.Run {
		lives[n-1].end, lives[n-1].exit = now, exit
	}
}
