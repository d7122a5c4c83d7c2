package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// ForwardsMax is how many connections one port-forward carries at a time, and how many
// may be half announced.
const ForwardsMax = 512

// portForward carries connections into a pod.
func (s *Server) portForward(w http.ResponseWriter, r *http.Request, t *target) error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	incoming := make(chan opened)
	conn, err := openForward(w, r, func(stream httpstream.Stream, replied <-chan struct{}) error {
		select {
		case incoming <- opened{stream, replied}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if conn == nil {
		return err
	}
	conn.SetIdleTimeout(IdleMax)
	f := &forwarding{ctx: ctx, to: t, conn: conn, half: map[string]*pair{}, slots: make(chan struct{}, ForwardsMax)}
	defer f.running.Wait()
	defer conn.Close()
	defer cancel()
	f.run(incoming)
	return nil
}

// openForward takes the connection over: SPDY, or SPDY in a WebSocket.
func openForward(w http.ResponseWriter, r *http.Request, handle httpstream.NewStreamHandler) (httpstream.Connection, error) {
	if wsstream.IsWebSocketRequest(r) {
		ws, err := upgrade(w, r, []string{portforward.WebsocketsSPDYTunnelingPortForwardV1})
		if ws == nil {
			return nil, err
		}
		conn, err := spdy.NewServerConnection(&tunnel{Conn: ws}, handle)
		if err != nil {
			return nil, nil // it was closed
		}
		return conn, nil
	}
	if !httpstream.IsUpgradeRequest(r) {
		return nil, refuse(http.StatusBadRequest, "unable to upgrade: missing upgrade headers in request: want SPDY/3.1 or websocket")
	}
	if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardV1Name}); err != nil {
		return nil, nil
	}
	return spdy.NewResponseUpgrader().UpgradeResponse(w, r, handle), nil
}

// forwarding is one port-forward. Its fields are those of the goroutine of run.
type forwarding struct {
	ctx     context.Context
	to      *target
	conn    httpstream.Connection
	half    map[string]*pair // by request: one of the two streams is missing
	slots   chan struct{}
	running sync.WaitGroup
}

// pair is a connection: what is said, and what went wrong.
type pair struct {
	port         uint16
	data, errors httpstream.Stream
	since        time.Time
}

// run pairs the streams that are opened, until the client goes.
func (f *forwarding) run(incoming <-chan opened) {
	sweep := time.NewTicker(openMax)
	defer sweep.Stop()
	for {
		select {
		case in := <-incoming:
			select {
			case <-in.replied:
			case <-f.conn.CloseChan():
				return
			}
			if err := f.add(in); err != nil {
				_ = in.Reset()
				f.conn.RemoveStreams(in.Stream)
			}
		case now := <-sweep.C:
			for id, p := range f.half {
				if now.Sub(p.since) > openMax {
					delete(f.half, id)
					f.drop(p)
				}
			}
		case <-f.conn.CloseChan():
			return
		case <-f.ctx.Done():
			return
		}
	}
}

// add takes a stream, and begins when it is the second of its connection.
func (f *forwarding) add(in opened) error {
	h := in.Headers()
	id := h.Get(corev1.PortForwardRequestIDHeader)
	port, err := strconv.ParseUint(h.Get(corev1.PortHeader), 10, 16)
	if err != nil || port == 0 || id == "" {
		return fmt.Errorf("port %q, request %q: want 1 to 65535, and a name", h.Get(corev1.PortHeader), id)
	}
	p := f.half[id]
	if p == nil {
		if len(f.half) >= ForwardsMax {
			return fmt.Errorf("%d connections are half announced, the most", ForwardsMax)
		}
		p = &pair{port: uint16(port), since: time.Now()}
		f.half[id] = p
	}
	switch kind := h.Get(corev1.StreamType); {
	case kind == corev1.StreamTypeData && p.data == nil:
		p.data = in.Stream
	case kind == corev1.StreamTypeError && p.errors == nil:
		p.errors = in.Stream
	default:
		return fmt.Errorf("stream %q of request %q: want one data and one error", kind, id)
	}
	if p.data == nil || p.errors == nil || p.port != uint16(port) {
		return nil
	}
	delete(f.half, id)
	f.begin(p)
	return nil
}

func (f *forwarding) begin(p *pair) {
	select {
	case f.slots <- struct{}{}:
	default:
		_, _ = fmt.Fprintf(p.errors, "%d connections are forwarded to pod %s, the most of one port-forward", ForwardsMax, f.to.pod)
		f.drop(p)
		return
	}
	f.running.Go(func() {
		defer func() { <-f.slots }()
		defer f.drop(p)
		if err := f.carry(p); err != nil {
			_, _ = fmt.Fprintf(p.errors, "error forwarding port %d to pod %s, uid %s: %v", p.port, f.to.pod, f.to.UID, err)
		}
	})
}

// drop ends both streams of a connection.
func (f *forwarding) drop(p *pair) {
	for _, s := range []httpstream.Stream{p.data, p.errors} {
		if s != nil {
			_ = s.Close()
			f.conn.RemoveStreams(s)
		}
	}
}

// carry copies both ways until the pod has said all.
func (f *forwarding) carry(p *pair) error {
	conn, err := dialPod(f.ctx, f.to.Netns, []string{"127.0.0.1", "::1"}, p.port)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(f.ctx, func() { conn.Close() })()
	go func() {
		_, _ = io.Copy(conn, p.data)
		if c, ok := conn.(*net.TCPConn); ok {
			_ = c.CloseWrite()
		}
	}()
	_, err = io.Copy(p.data, conn)
	if f.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
