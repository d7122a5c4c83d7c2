package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// streamsMax is how many streams of an exec or attach may wait to be taken.
const streamsMax = 5

// opened is a stream that the client has opened; replied is closed when it knows.
type opened struct {
	httpstream.Stream
	replied <-chan struct{}
}

func (s *Server) openSPDY(w http.ResponseWriter, r *http.Request, o options) (*session, error) {
	if !httpstream.IsUpgradeRequest(r) {
		return nil, refuse(http.StatusBadRequest, "unable to upgrade: missing upgrade headers in request: want SPDY/3.1 or websocket")
	}
	// The two differ in what WebSocket can say, not here.
	protocols := []string{remotecommand.StreamProtocolV5Name, remotecommand.StreamProtocolV4Name}
	if _, err := httpstream.Handshake(r, w, protocols); err != nil {
		return nil, nil
	}
	incoming := make(chan opened, streamsMax)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(stream httpstream.Stream, replied <-chan struct{}) error {
		select {
		case incoming <- opened{stream, replied}:
			return nil
		default:
			return fmt.Errorf("more than %d streams", streamsMax)
		}
	})
	if conn == nil {
		return nil, nil
	}
	conn.SetIdleTimeout(IdleMax)
	streams, err := collect(s.ctx, conn, incoming, o)
	if err != nil {
		conn.Close()
		return nil, nil
	}
	return s.newSPDY(conn, streams), nil
}

// collect waits for the streams that were announced.
func collect(ctx context.Context, conn httpstream.Connection, incoming <-chan opened, o options) (map[string]httpstream.Stream, error) {
	want := map[string]bool{corev1.StreamTypeError: true, corev1.StreamTypeStdin: o.stdin, corev1.StreamTypeStdout: o.stdout,
		corev1.StreamTypeStderr: o.stderr, corev1.StreamTypeResize: o.tty}
	missing := 0
	for _, wanted := range want {
		if wanted {
			missing++
		}
	}
	alarm := time.NewTimer(openMax)
	defer alarm.Stop()
	got := map[string]httpstream.Stream{}
	for missing > 0 {
		select {
		case in := <-incoming:
			kind := in.Headers().Get(corev1.StreamType)
			if !want[kind] || got[kind] != nil {
				return nil, fmt.Errorf("unexpected stream %q", kind)
			}
			select {
			case <-in.replied:
			case <-conn.CloseChan():
				return nil, http.ErrServerClosed
			}
			got[kind] = in.Stream
			missing--
		case <-alarm.C:
			return nil, fmt.Errorf("%d streams were not opened within %s", missing, openMax)
		case <-conn.CloseChan():
			return nil, http.ErrServerClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return got, nil
}

func (s *Server) newSPDY(conn httpstream.Connection, streams map[string]httpstream.Stream) *session {
	ctx, cancel := context.WithCancel(s.ctx)
	go func() {
		select {
		case <-conn.CloseChan():
			cancel()
		case <-ctx.Done():
		}
	}()
	e := &session{ctx: ctx}
	if in := streams[corev1.StreamTypeStdin]; in != nil {
		e.stdin = in
	}
	if out := streams[corev1.StreamTypeStdout]; out != nil {
		e.stdout = out
	}
	if out := streams[corev1.StreamTypeStderr]; out != nil {
		e.stderr = out
	}
	if from := streams[corev1.StreamTypeResize]; from != nil {
		to := newSizes()
		go to.read(from)
		e.resize = to
	}
	e.finish = func(status *metav1.Status) {
		defer cancel()
		defer conn.Close()
		text, err := json.Marshal(status)
		if err != nil {
			return
		}
		if _, err := streams[corev1.StreamTypeError].Write(text); err != nil {
			return
		}
		for _, kind := range []string{corev1.StreamTypeStdout, corev1.StreamTypeStderr, corev1.StreamTypeError} {
			if out := streams[kind]; out != nil {
				_ = out.Close()
			}
		}
		if in := streams[corev1.StreamTypeStdin]; in != nil {
			_ = in.Reset() // what still comes has no taker
		}
		linger(conn.CloseChan())
	}
	return e
}
