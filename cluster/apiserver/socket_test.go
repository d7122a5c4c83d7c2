package apiserver_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
)

// TestLogInWebSocket reads a log as a page in a browser would.
func TestLogInWebSocket(t *testing.T) {
	c := newCluster(t, 100, apiserver.Config{})
	long := strings.Repeat("line\n", 1000)
	c.logs["web/web"] = long
	p := pod("web")
	p.Spec.NodeName = "n1"
	c.must(t, api.Create(p))
	at := "ws" + strings.TrimPrefix(c.serve(t).URL, "http") + "/api/v1/namespaces/default/pods/web/log"
	for _, protocol := range []string{"", "binary.k8s.io", "base64.binary.k8s.io", "graphql-ws"} {
		d := websocket.Dialer{}
		if protocol != "" {
			d.Subprotocols = []string{protocol, "other"}
		}
		conn, answer, err := d.Dial(at, nil)
		if protocol == "graphql-ws" {
			require.Error(t, err)
			require.Equal(t, http.StatusBadRequest, answer.StatusCode)
			continue
		}
		require.NoError(t, err, protocol)
		require.Equal(t, protocol, conn.Subprotocol())
		var got []byte
		for {
			_, data, err := conn.ReadMessage()
			if err != nil {
				require.True(t, websocket.IsCloseError(err, websocket.CloseNormalClosure), "%v", err)
				break
			}
			if protocol == "base64.binary.k8s.io" {
				data, err = base64.StdEncoding.DecodeString(string(data))
				require.NoError(t, err)
			}
			got = append(got, data...)
		}
		require.Equal(t, long, string(got), protocol)
		require.NoError(t, conn.Close())
	}
}
