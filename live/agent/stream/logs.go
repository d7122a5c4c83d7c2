package stream

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/live/runtime/crilog"
)

// followEvery is how often a log that is followed is looked at. There is no watch on
// the file: the kernel has few of those, and many hosts may share it.
const followEvery = 100 * time.Millisecond

// logs writes the log of a container.
func (s *Server) logs(w http.ResponseWriter, r *http.Request, t *target) error {
	if r.Method != http.MethodGet {
		return refuse(http.StatusMethodNotAllowed, "%s of a log: want GET", r.Method)
	}
	q := r.URL.Query()
	o, err := logOptions(q, time.Now())
	if err != nil {
		return err
	}
	path, previous := t.Log, isTrue(q.Get("previous"))
	if previous {
		if path = t.PreviousLog; path == "" {
			return refuse(http.StatusBadRequest, "previous terminated container %q in pod %q not found", t.container, t.pod)
		}
	}
	conn := http.NewResponseController(w)
	if isTrue(q.Get("follow")) && !previous {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.ctx, cancel)()
		o.Wait = func() bool {
			_ = conn.Flush() // the wait below sees that the client has gone
			return s.waitForLog(ctx, t.Run)
		}
	}
	w.Header().Set("Content-Type", "text/plain")
	out := &firstWrite{w: w}
	err = crilog.Read(path, o, out)
	if errors.Is(err, fs.ErrNotExist) { // it has not said anything
		err = nil
	}
	if out.begun {
		return nil // too late to say anything
	}
	return err
}

// firstWrite notes whether the answer has begun.
type firstWrite struct {
	w     http.ResponseWriter
	begun bool
}

// Write implements io.Writer.
func (f *firstWrite) Write(p []byte) (int, error) {
	f.begun = true
	return f.w.Write(p)
}

// waitForLog waits a moment; false if the run had ended before, so that nothing more is
// written, or the client has gone.
func (s *Server) waitForLog(ctx context.Context, run runtime.ID) bool {
	if !s.runs(ctx, run) {
		return false
	}
	alarm := time.NewTimer(followEvery)
	defer alarm.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-alarm.C:
		return true
	}
}

// runs says whether a run has not ended.
func (s *Server) runs(ctx context.Context, run runtime.ID) bool {
	pod, err := s.runtime.Get(ctx, run.Pod)
	if err != nil {
		return false
	}
	for _, c := range pod.Containers {
		if c.ID == run {
			return c.Exit == nil
		}
	}
	return false
}

// logOptions reads the parameters of a log.
func logOptions(q url.Values, now time.Time) (crilog.Options, error) {
	o := crilog.Options{Tail: -1, Timestamps: isTrue(q.Get("timestamps"))}
	number := func(name string, least int64) (int64, bool, error) {
		text := q.Get(name)
		if text == "" {
			return 0, false, nil
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < least {
			return 0, false, refuse(http.StatusBadRequest, "%s %.100q: want a number of %d or more", name, text, least)
		}
		return n, true, nil
	}
	if n, given, err := number("tailLines", 0); err != nil {
		return o, err
	} else if given {
		o.Tail = n
	}
	var err error
	if o.BytesMax, _, err = number("limitBytes", 1); err != nil {
		return o, err
	}
	if n, given, err := number("sinceSeconds", 0); err != nil {
		return o, err
	} else if given {
		o.Since = now.Add(-time.Duration(min(n, int64(sinceMax/time.Second))) * time.Second)
	}
	if text := q.Get("sinceTime"); text != "" {
		if o.Since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return o, refuse(http.StatusBadRequest, "sinceTime %.100q: want a time such as 2006-01-02T15:04:05Z", text)
		}
	}
	switch text := q.Get("stream"); text {
	case "", "All":
	case "Stdout":
		o.Stream = "stdout"
	case "Stderr":
		o.Stream = "stderr"
	default:
		return o, refuse(http.StatusBadRequest, "stream %.100q: want All, Stdout or Stderr", text)
	}
	return o, nil
}

// sinceMax is the longest time back that is told from all.
const sinceMax = 200 * 365 * 24 * time.Hour

func isTrue(s string) bool { return s == "true" || s == "1" }
