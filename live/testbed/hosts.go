package testbed

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"seatrial.dev/seatrial/live/lab"
	"seatrial.dev/seatrial/scenarios"
)

// harmMax is how long it may take to do something to a host.
const harmMax = 60 * time.Second

// Hosts does to the lab's hosts what a scenario says, by the names of its nodes. It
// implements play.Hosts.
type Hosts struct{ T *Testbed }

func (h Hosts) do(f func(ctx context.Context, l *lab.Lab) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), harmMax)
	defer cancel()
	return f(ctx, h.T.lab)
}

// Crash kills all of a host at once.
func (h Hosts) Crash(node string) error {
	return h.do(func(ctx context.Context, l *lab.Lab) error { return l.Crash(ctx, node) })
}

// Restart boots a host; a running one is rebooted.
func (h Hosts) Restart(node string) error {
	return h.do(func(ctx context.Context, l *lab.Lab) error {
		s, err := l.Status(ctx)
		if err != nil {
			return err
		}
		for _, is := range s.Hosts {
			if is.Name == node && is.Phase != lab.Crashed {
				if err := l.Crash(ctx, node); err != nil {
					return err
				}
			}
		}
		return l.Restart(ctx, node)
	})
}

// Freeze stops a host's processes where they are.
func (h Hosts) Freeze(node string) error {
	return h.do(func(ctx context.Context, l *lab.Lab) error { return l.Freeze(ctx, node) })
}

// Thaw lets them go on.
func (h Hosts) Thaw(node string) error {
	return h.do(func(ctx context.Context, l *lab.Lab) error { return l.Thaw(ctx, node) })
}

// Cut stops packets between two groups; without to, between from and all others.
func (h Hosts) Cut(from, to []string, oneWay bool) error {
	return h.do(func(ctx context.Context, l *lab.Lab) error { return l.Cut(ctx, from, h.others(from, to), oneWay) })
}

// Heal takes cuts back; without from, all of them.
func (h Hosts) Heal(from, to []string, oneWay bool) error {
	return h.do(func(ctx context.Context, l *lab.Lab) error {
		if len(from) == 0 {
			from = h.all()
		}
		return l.Heal(ctx, from, h.others(from, to), oneWay)
	})
}

// Names are all hosts.
func (h Hosts) Names() []string { return h.all() }

func (h Hosts) all() []string { return append([]string{scenarios.ControlPlane}, h.T.nodes...) }

// others are to, or all that are not in from; all, if from is all.
func (h Hosts) others(from, to []string) []string {
	if len(to) > 0 {
		return to
	}
	rest := slices.DeleteFunc(h.all(), func(n string) bool { return slices.Contains(from, n) })
	if len(rest) == 0 {
		return h.all()
	}
	return rest
}

// Limits of what is shown of a service's log: how much of its end is read, and how many
// lines of that are said.
const (
	wordsMax     = 4 << 10
	wordLinesMax = 10
)

// lastWords are the ends of what the services wrote, to say why a cluster did not come up.
func (t *Testbed) lastWords() string {
	files, err := filepath.Glob(filepath.Join(t.dir, "hosts", "*", "log", "*"))
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil || len(text) == 0 {
			continue
		}
		b.WriteString("\n" + strings.TrimPrefix(f, t.dir+"/") + ":\n" + ending(text))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// ending is the last lines of a text, each once: a service that is started again and again
// says the same each time.
func ending(text []byte) string {
	from := max(0, len(text)-wordsMax)
	if from > 0 {
		if n := bytes.IndexByte(text[from:], '\n'); n >= 0 && from+n+1 < len(text) {
			from += n + 1 // not half a line
		}
	}
	var lines []string
	for line := range strings.Lines(string(text[from:])) {
		if line = strings.TrimSuffix(line, "\n"); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-wordLinesMax):], "\n") + "\n"
}
