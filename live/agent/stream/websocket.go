package stream

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"

	"seatrial.dev/seatrial/live/runtime"
)

const (
	messageBytesMax = 1 << 20 // of what a client sends at once
	pingEvery       = 30 * time.Second
	controlTimeout  = 10 * time.Second
)

var webSocketProtocols = []string{remotecommand.StreamProtocolV5Name, remotecommand.StreamProtocolV4Name}

// upgrade makes a WebSocket of a request; the client was answered if that fails.
func upgrade(w http.ResponseWriter, r *http.Request, protocols []string) (*websocket.Conn, error) {
	if !slices.ContainsFunc(websocket.Subprotocols(r), func(p string) bool { return slices.Contains(protocols, p) }) {
		return nil, refuse(http.StatusBadRequest, "Sec-Websocket-Protocol %.200q: want one of %q", websocket.Subprotocols(r), protocols)
	}
	u := websocket.Upgrader{
		Subprotocols: protocols,
		CheckOrigin:  func(*http.Request) bool { return true }, // a browser has no certificate of the API server
	}
	conn, err := u.Upgrade(w, r, nil)
	if err != nil {
		return nil, nil
	}
	conn.SetReadLimit(messageBytesMax)
	return conn, nil
}

// channels are the streams of an exec or attach in one WebSocket.
type channels struct {
	conn *websocket.Conn
	mu   sync.Mutex // of writes
	gone chan struct{}

	stdin     *io.PipeWriter // nil if there is none
	sizes     sizes
	halfClose bool // the client can end one stream
}

// channel is the output on one of them.
type channel struct {
	c  *channels
	id byte
}

// Write implements io.Writer.
func (o channel) Write(p []byte) (int, error) {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	m, err := o.c.conn.NextWriter(websocket.BinaryMessage)
	if err != nil {
		return 0, err
	}
	if _, err := m.Write([]byte{o.id}); err != nil {
		return 0, err
	}
	n, err := m.Write(p)
	return n, errors.Join(err, m.Close())
}

func (s *Server) openWebSocket(w http.ResponseWriter, r *http.Request, o options) (*session, error) {
	conn, err := upgrade(w, r, webSocketProtocols)
	if conn == nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	c := &channels{conn: conn, gone: make(chan struct{}), sizes: newSizes(), halfClose: conn.Subprotocol() == remotecommand.StreamProtocolV5Name}
	e := &session{ctx: ctx, resize: c.sizes}
	var stdin *io.PipeReader
	if o.stdin {
		stdin, c.stdin = io.Pipe()
		e.stdin = stdin
	}
	if o.stdout {
		e.stdout = channel{c, remotecommand.StreamStdOut}
	}
	if o.stderr {
		e.stderr = channel{c, remotecommand.StreamStdErr}
	}
	go func() {
		defer close(c.gone)
		defer cancel()
		c.read()
	}()
	go c.ping(ctx, cancel)
	e.finish = func(status *metav1.Status) {
		defer cancel()
		defer conn.Close()
		if stdin != nil {
			_ = stdin.Close() // what still comes has no taker
		}
		c.finish(status)
	}
	return e, nil
}

// read takes what the client sends, until its connection ends.
func (c *channels) read() {
	if c.stdin != nil {
		defer c.stdin.Close()
	}
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(IdleMax))
		kind, data, err := c.conn.ReadMessage()
		if err != nil || kind != websocket.BinaryMessage {
			return
		}
		if len(data) < 2 {
			continue
		}
		switch data[0] {
		case remotecommand.StreamStdIn:
			if c.stdin != nil {
				_, _ = c.stdin.Write(data[1:]) // fails when the process has ended
			}
		case remotecommand.StreamResize:
			var size runtime.Size
			if json.Unmarshal(data[1:], &size) == nil {
				c.sizes.put(size)
			}
		case remotecommand.StreamClose:
			if c.halfClose && data[1] == remotecommand.StreamStdIn && c.stdin != nil {
				_ = c.stdin.Close()
			}
		}
	}
}

// ping finds out that the client has gone though nothing can be read, since the process
// takes no input.
func (c *channels) ping(ctx context.Context, cancel func()) {
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		err := c.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(controlTimeout))
		if late, ok := errors.AsType[net.Error](err); err != nil && !(ok && late.Timeout()) { // a client may be slow
			cancel()
			return
		}
	}
}

// finish says how it ended, and waits for the client to close: closing with input
// unread would make the kernel throw away output that is on its way.
func (c *channels) finish(status *metav1.Status) {
	text, err := json.Marshal(status)
	if err != nil {
		return
	}
	if _, err := (channel{c, remotecommand.StreamErr}).Write(text); err != nil {
		return
	}
	if c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(controlTimeout)) != nil {
		return
	}
	linger(c.gone)
}

// linger waits for a client to go, but not for ever.
func linger[T any](gone <-chan T) {
	alarm := time.NewTimer(lingerMax)
	defer alarm.Stop()
	select {
	case <-gone:
	case <-alarm.C:
	}
}
