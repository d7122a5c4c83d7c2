package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// ErrStalled says that a registry has sent nothing for Limits.PullStall.
var ErrStalled = errors.New("the registry sends nothing")

// guard carries requests to registries. It keeps them, and the credentials in them, from
// going out without TLS by turning them into such with it: the library would go without
// for every private address, and for whatever a registry names as the place of its
// tokens or blobs. And it ends those that get no answer.
type guard struct {
	next  http.RoundTripper
	plain func(host string) bool
	stall time.Duration
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	r = r.Clone(ctx)
	if r.URL.Scheme != "https" && !g.plain(r.URL.Host) {
		r.URL.Scheme = "https"
	}
	silent := time.AfterFunc(g.stall, func() { cancel(fmt.Errorf("%w for %v", ErrStalled, g.stall)) })
	resp, err := g.next.RoundTrip(r)
	if err != nil {
		silent.Stop()
		err = causeOf(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &watched{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, silent: silent, stall: g.stall}
	return resp, nil
}

// causeOf is why a request was ended, if it was.
func causeOf(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil && ctx.Err() != nil && !errors.Is(err, io.EOF) {
		return c
	}
	return err
}

// watched is an answer that must go on.
type watched struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	silent *time.Timer
	stall  time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	w.silent.Reset(w.stall) // time that the reader takes does not count
	n, err := w.ReadCloser.Read(p)
	w.silent.Stop()
	if err != nil {
		err = causeOf(w.ctx, err)
	}
	return n, err
}

func (w *watched) Close() error {
	w.silent.Stop()
	err := w.ReadCloser.Close()
	w.cancel(nil)
	return err
}
