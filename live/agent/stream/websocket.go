package stream

import (
	"context"
	"encoding/base64"
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
	"k8s.io/streaming/pkg/httpstream/wsstream"

	"seatrial.dev/seatrial/live/runtime"
)

const (
	messageBytesMax = 1 << 20 // of what a client sends at once
	pingEvery       = 30 * time.Second
	controlTimeout  = 10 * time.Second
)

// dialect is a WebSocket protocol of exec and attach (k8s.io/streaming/pkg/httpstream/wsstream).
type dialect struct {
	name      string
	base64    bool // each message is text, for clients that can send no other
	status    bool // how it ended is a metav1.Status; else the text of an error, if there is one
	halfClose bool // the client can end one stream
}

// dialects are those there are, the best first.
var dialects = []dialect{
	{name: remotecommand.StreamProtocolV5Name, status: true, halfClose: true},
	{name: remotecommand.StreamProtocolV4Name, status: true},
	{name: "v4.base64.channel.k8s.io", status: true, base64: true},
	{name: wsstream.ChannelWebSocketProtocol},
	{name: wsstream.Base64ChannelWebSocketProtocol, base64: true},
	{}, // who names none speaks the first there was
}

func dialectNames() (out []string) {
	for _, d := range dialects {
		out = append(out, d.name)
	}
	return out
}

func spoken(name string) dialect {
	return dialects[slices.IndexFunc(dialects, func(d dialect) bool { return d.name == name })]
}

// upgrade makes a WebSocket of a request; the client was answered if that fails.
func upgrade(w http.ResponseWriter, r *http.Request, protocols []string) (*websocket.Conn, error) {
	named := websocket.Subprotocols(r)
	if len(named) == 0 {
		named = []string{""}
	}
	if !slices.ContainsFunc(named, func(p string) bool { return slices.Contains(protocols, p) }) {
		return nil, refuse(http.StatusBadRequest, "Sec-Websocket-Protocol %.200q: want one of %q", named, protocols)
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

	stdin   *io.PipeWriter // nil if there is none
	sizes   sizes
	dialect dialect
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
	if o.c.dialect.base64 {
		text := append([]byte{'0' + o.id}, base64.StdEncoding.EncodeToString(p)...)
		return len(p), o.c.conn.WriteMessage(websocket.TextMessage, text)
	}
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

// next is what the client sends: a channel's number and its bytes; nil at the end, or
// when it sends what is none.
func (c *channels) next() []byte {
	_ = c.conn.SetReadDeadline(time.Now().Add(IdleMax))
	kind, data, err := c.conn.ReadMessage()
	switch {
	case err != nil:
		return nil
	case !c.dialect.base64 && kind == websocket.BinaryMessage:
		return data
	case !c.dialect.base64 || kind != websocket.TextMessage || len(data) == 0:
		return nil
	}
	raw, err := base64.StdEncoding.AppendDecode([]byte{data[0] - '0'}, data[1:])
	if err != nil {
		return nil
	}
	return raw
}

func (s *Server) openWebSocket(w http.ResponseWriter, r *http.Request, o options) (*session, error) {
	conn, err := upgrade(w, r, dialectNames())
	if conn == nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	c := &channels{conn: conn, gone: make(chan struct{}), sizes: newSizes(), dialect: spoken(conn.Subprotocol())}
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
		data := c.next()
		if data == nil {
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
			if c.dialect.halfClose && data[1] == remotecommand.StreamStdIn && c.stdin != nil {
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
	if text := c.ending(status); text != nil {
		if _, err := (channel{c, remotecommand.StreamErr}).Write(text); err != nil {
			return
		}
	}
	if c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(controlTimeout)) != nil {
		return
	}
	linger(c.gone)
}

// ending is what goes to the error channel; nil for nothing.
func (c *channels) ending(status *metav1.Status) []byte {
	switch {
	case c.dialect.status:
		text, err := json.Marshal(status)
		if err != nil {
			return nil
		}
		return text
	case status.Status == metav1.StatusSuccess:
		return nil
	}
	return []byte(status.Message)
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
