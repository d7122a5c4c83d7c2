package stream

import (
	"errors"
	"io"
	"time"

	"github.com/gorilla/websocket"
)

// tunnel is a connection whose bytes go in the messages of a WebSocket. Reads are those
// of one goroutine; so are writes.
type tunnel struct {
	*websocket.Conn
	message io.Reader // being read
}

// Read implements net.Conn.
func (t *tunnel) Read(p []byte) (int, error) {
	for {
		if t.message == nil {
			kind, message, err := t.NextReader()
			switch {
			case websocket.IsCloseError(err, websocket.CloseNormalClosure):
				return 0, io.EOF
			case err != nil:
				return 0, err
			case kind != websocket.BinaryMessage:
				return 0, errors.New("a message that is not binary")
			}
			t.message = message
		}
		n, err := t.message.Read(p)
		if err == io.EOF {
			t.message, err = nil, nil
			if n == 0 {
				continue
			}
		}
		return n, err
	}
}

// Write implements net.Conn.
func (t *tunnel) Write(p []byte) (int, error) {
	if err := t.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close implements net.Conn.
func (t *tunnel) Close() error {
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = t.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second)) // it may be broken
	return t.Conn.Close()
}

// SetDeadline implements net.Conn.
func (t *tunnel) SetDeadline(at time.Time) error {
	return errors.Join(t.SetReadDeadline(at), t.SetWriteDeadline(at))
}
