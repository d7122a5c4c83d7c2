package apiserver_test

import (
	"flag"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/store"
)

var serveAddress = flag.String("serve", "", "serve an empty cluster at this address instead of testing, for a look by hand")

// TestServe does nothing unless asked to.
func TestServe(t *testing.T) {
	if *serveAddress == "" {
		t.Skip("give -serve=127.0.0.1:8080 to look at the server by hand")
	}
	c := newCluster(t, store.WindowDefault, apiserver.Config{Report: func(p any, stack []byte) { t.Logf("panic: %v\n%s", p, stack) }})
	c.logs["web/web"] = "hello\n"
	require.NoError(t, http.ListenAndServe(*serveAddress, c.srv))
}
