package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// relay stands between a program and the API server and notices when the program
// has done all it will until something happens in the cluster.
type relay struct {
	url     string
	waiting chan struct{} // closed when it waits for as many things as expected

	mu     sync.Mutex
	left   int             // things that it does not wait for yet
	leaves map[string]bool // paths of objects that it asked to be removed; true once it has looked whether they are gone
}

// newRelay opens a relay to the server of a kubeconfig, for a program that will wait
// for so many things at once.
func newRelay(t *testing.T, kubeconfig string, waits int) *relay {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	require.NoError(t, err)
	transport, err := rest.TransportFor(config)
	require.NoError(t, err)
	to, err := url.Parse(config.Host)
	require.NoError(t, err)
	r := &relay{waiting: make(chan struct{}), left: waits, leaves: map[string]bool{}}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(p *httputil.ProxyRequest) { p.SetURL(to) },
		Transport:      transport,
		FlushInterval:  -1, // a watch is passed on at once
		ModifyResponse: r.answered,
	})
	t.Cleanup(front.Close)
	r.url = front.URL
	return r
}

// answered looks for signs of waiting: a watch has begun (its header is sent after
// the server has picked its place), or an object that was to go is looked at.
func (r *relay) answered(resp *http.Response) error {
	req := resp.Request
	r.mu.Lock()
	defer r.mu.Unlock()
	pod, eviction := strings.CutSuffix(req.URL.Path, "/eviction")
	looked, leaves := r.leaves[req.URL.Path]
	watch := req.URL.Query().Get("watch")
	switch {
	case eviction && resp.StatusCode < 300:
		r.leaves[pod] = false
	case req.Method == http.MethodDelete:
		r.leaves[req.URL.Path] = false
	case leaves && !looked && req.Method == http.MethodGet:
		r.leaves[req.URL.Path] = true
		r.waits()
	case watch == "true" || watch == "1":
		r.waits()
	}
	return nil
}

func (r *relay) waits() {
	if r.left--; r.left == 0 {
		close(r.waiting)
	}
}
