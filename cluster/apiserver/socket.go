package apiserver

import (
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// The protocols of a log in a WebSocket: bytes, or their base64 for clients that can
// send text only. Who names none gets bytes.
const (
	binarySocket = "binary.k8s.io"
	base64Socket = "base64.binary.k8s.io"
)

// socketChunk is the most of a log in one message.
const socketChunk = 2048

// socketCloseMax is for how long a client may take to hear that the log is over.
const socketCloseMax = 10 * time.Second

// wantsSocket says whether the answer is to be a WebSocket.
func (c *call) wantsSocket() bool { return wsstream.IsWebSocketRequest(c.r) }

// socket streams in a WebSocket, until the end or until the client has gone.
func (c *call) socket(r io.ReadCloser) error {
	named := websocket.Subprotocols(c.r)
	if known := []string{binarySocket, base64Socket, ""}; len(named) > 0 && !slices.ContainsFunc(named, func(p string) bool { return slices.Contains(known, p) }) {
		return apierrors.NewBadRequest("Sec-WebSocket-Protocol: want " + binarySocket + " or " + base64Socket)
	}
	u := websocket.Upgrader{Subprotocols: []string{binarySocket, base64Socket}, CheckOrigin: func(*http.Request) bool { return true }} // who may read was decided by credentials
	conn, err := u.Upgrade(&handed{passing{c.w, c}}, c.r, nil)
	if err != nil {
		return nil // the client was answered
	}
	defer conn.Close()
	gone := make(chan struct{})
	go func() { // a client has nothing to say, and says so when it goes
		defer close(gone)
		for {
			if _, _, err := conn.NextReader(); err != nil {
				return
			}
		}
	}()
	go func() { // what waits for more of the log has to be woken
		select {
		case <-gone:
		case <-c.s.closed:
		}
		_ = r.Close()
	}()
	copyToSocket(conn, r)
	end := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if conn.WriteControl(websocket.CloseMessage, end, time.Now().Add(socketCloseMax)) == nil {
		_ = conn.SetReadDeadline(time.Now().Add(socketCloseMax))
		<-gone
	}
	return nil
}

func copyToSocket(conn *websocket.Conn, r io.Reader) {
	buf := make([]byte, socketChunk)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			kind, data := websocket.BinaryMessage, buf[:n]
			if conn.Subprotocol() == base64Socket {
				kind, data = websocket.TextMessage, base64.StdEncoding.AppendEncode(nil, data)
			}
			if conn.WriteMessage(kind, data) != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
