package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// ClockPath is where the clock is asked and controlled: GET shows it, POST with a
// Command changes it.
const ClockPath = "/seatrial.dev/clock"

// commandBytesMax bounds the body of a Command.
const commandBytesMax = 64 << 10

// Command is what a POST to ClockPath asks.
type Command struct {
	Do       string   `json:"do"`                 // pause, run, step, until or speed
	Duration string   `json:"duration,omitempty"` // of step
	Until    string   `json:"until,omitempty"`    // an expression as in a check
	Speed    *float64 `json:"speed,omitempty"`    // virtual seconds to a second; -1 as fast as it can
}

// ClockHandler serves ClockPath. It asks nobody who they are: whoever mounts it must.
func (c *Cluster) ClockHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet:
		case http.MethodPost:
			var cmd Command
			d := json.NewDecoder(io.LimitReader(r.Body, commandBytesMax))
			d.DisallowUnknownFields()
			if err := d.Decode(&cmd); err != nil {
				http.Error(w, "want JSON such as {\"do\": \"step\", \"duration\": \"30s\"}: "+err.Error(), http.StatusBadRequest)
				return
			}
			if err := c.command(r.Context(), cmd); err != nil {
				http.Error(w, err.Error(), http.StatusUnprocessableEntity)
				return
			}
		default:
			w.Header().Set("Allow", "GET, POST")
			http.Error(w, "want GET or POST", http.StatusMethodNotAllowed)
			return
		}
		state, err := c.State(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(state) // the client has gone
	})
}

func (c *Cluster) command(ctx context.Context, cmd Command) error {
	switch cmd.Do {
	case "pause":
		return c.SetSpeed(ctx, Paused)
	case "run":
		return c.SetSpeed(ctx, 1)
	case "speed":
		if cmd.Speed == nil {
			return fmt.Errorf("speed wants a number: virtual seconds to a second, or -1")
		}
		return c.SetSpeed(ctx, *cmd.Speed)
	case "step":
		d, err := time.ParseDuration(cmd.Duration)
		if err != nil {
			return fmt.Errorf("step wants a duration such as 30s, not %q", cmd.Duration)
		}
		return c.Step(ctx, d)
	case "until":
		return c.Until(ctx, cmd.Until)
	}
	return fmt.Errorf("there is no command %q; there are pause, run, step, until and speed", cmd.Do)
}

// Logs returns what a container has written up to the present virtual time, as the
// HTTP front's Logs asks. Following ends there, too: the clock may stand still.
func (c *Cluster) Logs(ctx context.Context, pod *corev1.Pod, opts *corev1.PodLogOptions) (io.ReadCloser, error) {
	var b strings.Builder
	found := false
	err := c.ask(ctx, func() {
		lines, ok := c.w.Logs(pod, opts.Container, opts.Previous)
		if found = ok; !ok {
			return
		}
		eng := c.w.Engine()
		from := time.Duration(0)
		if opts.SinceSeconds != nil {
			from = eng.Now() - time.Duration(*opts.SinceSeconds)*time.Second
		}
		if opts.SinceTime != nil {
			from = eng.SinceStart(opts.SinceTime.Time)
		}
		for len(lines) > 0 && lines[0].At < from {
			lines = lines[1:]
		}
		if n := opts.TailLines; n != nil && int64(len(lines)) > *n {
			lines = lines[int64(len(lines))-*n:]
		}
		for _, l := range lines {
			if opts.Timestamps {
				b.WriteString(eng.DateOf(l.At).Format(time.RFC3339Nano) + " ")
			}
			b.WriteString(l.Text + "\n")
		}
	})
	if err != nil {
		return nil, err
	}
	if !found {
		what := "container"
		if opts.Previous {
			what = "previous terminated container"
		}
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s %q in pod %q is not available", what, opts.Container, pod.Name))
	}
	text := b.String()
	if n := opts.LimitBytes; n != nil && int64(len(text)) > *n {
		text = text[:*n]
	}
	return io.NopCloser(strings.NewReader(text)), nil
}
