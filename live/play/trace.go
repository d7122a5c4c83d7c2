package play

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/internal/trace"
	"seatrial.dev/seatrial/scenarios"
)

// record writes a line of the trace for a write. What a component tells of itself, by an
// Event, is its own line.
func (r *run) record(now time.Duration, e store.Event) {
	if r.opts.Recorder == nil {
		return
	}
	l := trace.Line{Time: now, Seq: r.seq, Component: "api-server"}
	what, object, detail := verb(e.Type), e.Ref.String(), ""
	if ev, ok := e.Object.(*corev1.Event); ok && e.Type != store.Deleted {
		l.Component = ev.Source.Component
		if ev.ReportingController != "" {
			l.Component = ev.ReportingController
		}
		of := ev.InvolvedObject
		what, detail = ev.Reason, ev.Message
		object = strings.ToLower(of.Kind) + "/" + strings.TrimPrefix(of.Namespace+"/"+of.Name, "/")
	}
	r.opts.Recorder.Begin(l)
	r.opts.Recorder.Describe(what, object, detail)
}

func verb(t store.Type) string {
	switch t {
	case store.Added:
		return "create"
	case store.Modified:
		return "update"
	}
	return "delete"
}

func (r *run) recordStep(now time.Duration, s scenarios.Step) {
	r.seq++
	if r.opts.Recorder != nil {
		r.opts.Recorder.Begin(trace.Line{Time: now, Seq: r.seq, Component: "scenario"})
		r.opts.Recorder.Describe(s.Action.String(), "", "")
	}
}

// absent says that nobody was there to answer: the server is down, or cut off.
func absent(err error) bool {
	var u *url.Error
	var n net.Error
	return errors.As(err, &u) || errors.As(err, &n)
}
