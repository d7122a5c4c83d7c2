package apiserver

import (
	"compress/gzip"
	"errors"
	"net/http"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// gzipBytesMin is the size from which an answer is compressed for a client that
// can read it.
const gzipBytesMin = 128 << 10

var gzipWriters = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// send writes bytes as the whole answer. What goes wrong from here on is the
// connection's, which nobody can be told of.
func (c *call) send(code int, contentType string, parts ...[]byte) {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	h := c.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-cache, private")
	c.started, c.code = true, code
	if c.out.gzip && size >= gzipBytesMin && c.r.Method != http.MethodHead {
		h.Set("Content-Encoding", "gzip")
		h.Add("Vary", "Accept-Encoding")
		c.w.WriteHeader(code)
		z := gzipWriters.Get().(*gzip.Writer)
		z.Reset(c.w)
		for _, p := range parts {
			if _, err := z.Write(p); err != nil {
				break
			}
		}
		_ = z.Close()
		gzipWriters.Put(z)
		return
	}
	h.Set("Content-Length", strconv.Itoa(size))
	c.w.WriteHeader(code)
	if c.r.Method == http.MethodHead {
		return
	}
	for _, p := range parts {
		if _, err := c.w.Write(p); err != nil {
			return
		}
	}
}

// answer writes an object with apiVersion and kind.
func (c *call) answer(code int, o runtime.Object) error {
	b, err := encode(o, c.out)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	c.send(code, c.out.media, b)
	return nil
}

// fail answers with an error's Status.
func (c *call) fail(err error) {
	if c.started {
		return
	}
	status := statusOf(err)
	c.message = status.Message
	if d := status.Details; d != nil && d.RetryAfterSeconds > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(int(d.RetryAfterSeconds)))
	}
	out := c.out
	if out.media == "" {
		out.media = mediaJSON
	}
	b, eerr := encode(&status, out)
	if eerr != nil {
		out.media = mediaJSON
		b = []byte(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","code":500}` + "\n")
	}
	c.out.gzip = false
	c.send(int(status.Code), out.media, b)
}

// statusOf is the Status that tells of an error.
func statusOf(err error) metav1.Status {
	var known apierrors.APIStatus
	if !errors.As(err, &known) {
		known = apierrors.NewInternalError(err)
	}
	status := known.Status()
	status.Status = metav1.StatusFailure
	if status.Code < 400 || status.Code > 599 {
		status.Code = http.StatusInternalServerError
	}
	status.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Status"})
	return status
}
