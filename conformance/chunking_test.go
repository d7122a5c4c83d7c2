package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/store"
)

var chunkingEntries = []entry{
	{Group: "List chunking", Name: "API Chunking, server should return chunks of results for list calls",
		Codename: "[sig-api-machinery] Servers with support for API chunking should return chunks of results for list calls", Test: listInChunks},
	{Group: "List chunking", Name: "API Chunking, server should support continue listing from the last key even if the original version has been compacted away",
		Codename: "[sig-api-machinery] Servers with support for API chunking should support continue listing from the last key if the original version has been compacted away, though the list is inconsistent [Slow]", Test: listAfterCompaction},
}

const chunked = 400

func podTemplate(name string, labels map[string]string) *corev1.PodTemplate {
	return &corev1.PodTemplate{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Template: podTemplateSpec("demo/x:1", labels)}
}

func (c *cluster) makeChunks(t *testing.T) {
	for i := range chunked {
		_, err := c.kube.CoreV1().PodTemplates(c.ns).Create(c.ctx, podTemplate(fmt.Sprintf("template-%04d", i), nil), metav1.CreateOptions{})
		require.NoError(t, err)
	}
}

// rest reads the pages after a token and checks that each is full, names how many
// remain, and is of one version.
func (c *cluster) rest(t *testing.T, have int, opts metav1.ListOptions) {
	version := ""
	for opts.Continue != "" {
		page, err := c.kube.CoreV1().PodTemplates(c.ns).List(c.ctx, opts)
		require.NoError(t, err)
		require.LessOrEqual(t, int64(len(page.Items)), opts.Limit)
		if version == "" {
			version = page.ResourceVersion
		}
		require.Equal(t, version, page.ResourceVersion)
		for i, item := range page.Items {
			require.Equal(t, fmt.Sprintf("template-%04d", have+i), item.Name)
		}
		have += len(page.Items)
		if page.Continue == "" {
			require.Nil(t, page.RemainingItemCount)
		} else {
			require.NotNil(t, page.RemainingItemCount)
			require.EqualValues(t, chunked-have, *page.RemainingItemCount)
		}
		opts.Continue = page.Continue
	}
	require.Equal(t, chunked, have)
}

func listInChunks(t *testing.T, c *cluster) {
	c.makeChunks(t)
	for _, limit := range []int64{chunked / 11, chunked / 3, chunked} {
		first, err := c.kube.CoreV1().PodTemplates(c.ns).List(c.ctx, metav1.ListOptions{Limit: limit})
		require.NoError(t, err)
		require.Len(t, first.Items, int(limit))
		if limit == chunked {
			require.Empty(t, first.Continue)
			require.Nil(t, first.RemainingItemCount)
			continue
		}
		require.EqualValues(t, chunked-limit, *first.RemainingItemCount)
		second, err := c.kube.CoreV1().PodTemplates(c.ns).List(c.ctx, metav1.ListOptions{Limit: limit, Continue: first.Continue})
		require.NoError(t, err)
		require.Equal(t, first.ResourceVersion, second.ResourceVersion)
		c.rest(t, int(limit), metav1.ListOptions{Limit: limit, Continue: first.Continue})
	}
	all, err := c.kube.CoreV1().PodTemplates(c.ns).List(c.ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, all.Items, chunked)
	require.Empty(t, all.Continue)
}

// listAfterCompaction uses a cluster that remembers few writes: the served one
// remembers so many that it would take minutes to make it forget.
func listAfterCompaction(t *testing.T, _ *cluster) {
	c := forgetful(t)
	c.makeChunks(t)
	const limit = chunked / 9
	first, err := c.kube.CoreV1().PodTemplates(c.ns).List(c.ctx, metav1.ListOptions{Limit: limit})
	require.NoError(t, err)
	require.Len(t, first.Items, limit)
	require.EqualValues(t, chunked-limit, *first.RemainingItemCount)
	c.makeConfigMap(t, configMap("noise"))
	expired, n := "", 0
	c.until(t, "the token to expire", func() (bool, error) {
		for range chunked {
			n++
			c.setMutation(t, "noise", n)
		}
		_, err = c.kube.CoreV1().PodTemplates(c.ns).List(c.ctx, metav1.ListOptions{Limit: limit, Continue: first.Continue})
		if err == nil {
			return false, nil
		}
		require.True(t, apierrors.IsResourceExpired(err), "%v", err)
		expired = err.(apierrors.APIStatus).Status().ListMeta.Continue
		return true, nil
	})
	require.NotEmpty(t, expired, "the refusal offers no way on")
	c.rest(t, limit, metav1.ListOptions{Limit: limit, Continue: expired})
}

// small is a cluster of an API alone.
type small struct {
	mu   sync.Mutex
	api  *api.API
	sent uint64
	srv  *apiserver.Server
}

// Do implements apiserver.Cluster.
func (s *small) Do(_ context.Context, f func(time.Time, *api.API)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(time.Now(), s.api)
	for s.sent < s.api.Store().RV() {
		s.sent++
		e, err := s.api.Store().At(s.sent)
		if err != nil {
			panic(err)
		}
		s.srv.Observe(e)
	}
	return nil
}

// forgetful serves an API whose store remembers few writes.
func forgetful(t *testing.T) *cluster {
	a, err := api.New(store.New(2*chunked), rand.New(rand.NewPCG(1, 2)), api.DefaultConfig())
	require.NoError(t, err)
	s := &small{api: a}
	s.srv = apiserver.New(s, apiserver.Config{})
	server := httptest.NewServer(s.srv)
	t.Cleanup(func() {
		s.srv.Close()
		server.Close()
	})
	c := connect(t, server.URL)
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithTimeout(context.Background(), 2*deadline)
	t.Cleanup(cancel)
	c.ns = metav1.NamespaceDefault
	_, err = c.kube.CoreV1().Namespaces().Create(c.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.ns}}, metav1.CreateOptions{})
	require.NoError(t, err)
	return c
}
