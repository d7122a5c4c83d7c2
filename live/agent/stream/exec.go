package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/streaming/pkg/httpstream/wsstream"

	"seatrial.dev/seatrial/live/runtime"
)

// options are what an exec or attach has of streams.
type options struct {
	stdin, stdout, stderr, tty bool
}

func streamOptions(q url.Values) (options, error) {
	o := options{stdin: isTrue(q.Get("stdin")), stdout: isTrue(q.Get("stdout")), stderr: isTrue(q.Get("stderr")), tty: isTrue(q.Get("tty"))}
	if !o.stdin && !o.stdout && !o.stderr {
		return o, refuse(http.StatusBadRequest, "you must specify at least 1 of stdin, stdout, stderr")
	}
	if o.tty { // all output of a terminal is one stream
		o.stderr = false
	}
	return o, nil
}

// session is an open exec or attach, whatever its protocol. The streams that were not
// asked for are nil.
type session struct {
	ctx    context.Context // ends with the connection
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	resize <-chan runtime.Size
	// finish tells the client how it ended, lets it take what is on the way, and closes.
	finish func(*metav1.Status)
}

// open takes the connection over. An error is to be answered; without one there is a
// session, or nil if the client was answered already or has gone.
func (s *Server) open(w http.ResponseWriter, r *http.Request, o options) (*session, error) {
	if wsstream.IsWebSocketRequest(r) {
		return s.openWebSocket(w, r, o)
	}
	return s.openSPDY(w, r, o)
}

func (e *session) streams() runtime.Streams {
	return runtime.Streams{Stdin: e.stdin, Stdout: e.stdout, Stderr: e.stderr, Resize: e.resize}
}

// exec runs a command in a container.
func (s *Server) exec(w http.ResponseWriter, r *http.Request, t *target) error {
	q := r.URL.Query()
	o, err := streamOptions(q)
	if err != nil {
		return err
	}
	spec := runtime.ExecSpec{ID: t.Run, Args: q["command"], TTY: o.tty}
	if o.tty {
		spec.Env = []string{"TERM=xterm"}
	}
	if err := spec.Validate(); err != nil {
		return refuse(http.StatusBadRequest, "%s", err)
	}
	if !s.runs(r.Context(), t.Run) {
		return refuse(http.StatusNotFound, "container not found (%q)", t.container)
	}
	e, err := s.open(w, r, o)
	if e == nil {
		return err
	}
	code, err := s.runtime.Exec(e.ctx, spec, e.streams())
	e.finish(outcome(code, err, "error executing command in container"))
	return nil
}

// attach joins the streams of a container. How that ends is no outcome of attaching: a
// client who was told of an exit code would take it for a failure, and kubectl run -i then
// prints the logs again. It reads the code from the pod's status.
func (s *Server) attach(w http.ResponseWriter, r *http.Request, t *target) error {
	o, err := streamOptions(r.URL.Query())
	if err != nil {
		return err
	}
	if !s.runs(r.Context(), t.Run) {
		return refuse(http.StatusNotFound, "container not found (%q)", t.container)
	}
	e, err := s.open(w, r, o)
	if e == nil {
		return err
	}
	_, err = s.runtime.Attach(e.ctx, t.Run, e.streams())
	e.finish(outcome(0, err, "error attaching to container"))
	return nil
}

// outcome is how a process ended, in the words that kubectl understands.
func outcome(code int, err error, doing string) *metav1.Status {
	switch {
	case err != nil:
		return &metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Reason: metav1.StatusReasonInternalError,
			Message: fmt.Sprintf("Internal error occurred: %s: %v", doing, err),
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Message: err.Error()}}}}
	case code != 0:
		return &metav1.Status{Status: metav1.StatusFailure, Reason: remotecommand.NonZeroExitCodeReason,
			Message: fmt.Sprintf("command terminated with non-zero exit code: exit code %d", code),
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: remotecommand.ExitCodeCauseType, Message: strconv.Itoa(code)}}}}
	}
	return &metav1.Status{Status: metav1.StatusSuccess}
}

// sizes hands on the sizes of a terminal; of those that nobody took the last counts.
type sizes chan runtime.Size

func newSizes() sizes { return make(chan runtime.Size, 1) }

// read takes sizes from a stream until it ends. It is the only sender.
func (s sizes) read(from io.Reader) {
	for d := json.NewDecoder(from); ; {
		var size runtime.Size
		if d.Decode(&size) != nil {
			return
		}
		s.put(size)
	}
}

func (s sizes) put(size runtime.Size) {
	select {
	case <-s:
	default:
	}
	s <- size
}
