package apiserver

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// watcher is one watch on its way.
type watcher struct {
	c       *call
	opts    listOptions
	feed    *feed
	at      uint64         // number in the feed of the next event
	rv      uint64         // version up to which the client knows all
	initial []kinds.Object // to be sent first, as if just added
	missed  []*seen        // since the version asked for, to be sent next
	key     encodingKey
	reset   <-chan struct{} // closed when the world was set back
	headed  bool            // a table's columns have been sent
}

// watch streams the changes of a kind
// (kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes).
func (c *call) watch() error {
	opts, err := c.listOptions()
	if err != nil {
		return err
	}
	if c.s.watchers.Add(1) > c.s.limits.WatchersMax {
		c.s.watchers.Add(-1)
		return apierrors.NewTooManyRequests(fmt.Sprintf("more than %d watches at a time", c.s.limits.WatchersMax), 1)
	}
	defer c.s.watchers.Add(-1)
	w := &watcher{c: c, opts: opts, feed: &c.s.hub.feeds[c.res.kind]}
	w.key = encodingKey{media: c.out.media, form: c.out.form, v1beta: c.out.v1beta, served: c.res.gvk}
	if c.out.media == mediaYAML {
		w.key.media, c.out.media = mediaJSON, mediaJSON // YAML has no stream
	}
	derr := c.do(func(_ time.Time, a *api.API) { err = w.begin(a.Store()) })
	if err := firstOf(derr, err); err != nil {
		return err
	}
	media := c.out.media
	if media == mediaProto || c.out.stream {
		media += ";stream=watch"
	}
	c.w.Header().Set("Content-Type", media)
	c.w.Header().Set("Cache-Control", "no-cache, private")
	c.w.WriteHeader(http.StatusOK)
	c.started, c.code = true, http.StatusOK
	c.flush()
	c.noDeadline()
	w.run()
	return nil
}

// begin takes the watch's place in the feed, on the cluster's goroutine, and picks
// what is to be sent before it.
func (w *watcher) begin(s *store.Store) error {
	w.at, w.rv, w.reset = w.feed.place(), s.RV(), w.c.s.ended()
	wantsState := w.opts.version == 0
	if w.opts.initialEvents != nil {
		wantsState = *w.opts.initialEvents
	}
	if err := notInFuture(w.opts.version, s.RV()); err != nil {
		return err
	}
	ns := ""
	if w.c.res.namespaced {
		ns = w.c.namespace
	}
	if wantsState {
		for o := range s.List(w.c.res.kind, ns) {
			w.initial = append(w.initial, o)
		}
		return nil
	}
	if w.opts.rv == "" || w.opts.version == 0 {
		return nil
	}
	events, err := s.SinceOf(w.opts.version, w.c.res.kind, w.c.s.limits.WatchWindow)
	if errors.Is(err, store.ErrTooOld) {
		return expired(w.opts.version, err)
	}
	for i := range events {
		w.missed = append(w.missed, &seen{Event: events[i]})
	}
	return nil
}

// run sends events until the client, the time or the server ends the watch.
func (w *watcher) run() {
	timeout := w.opts.timeout
	if timeout == 0 {
		timeout = w.c.s.limits.WatchTimeoutMin + w.jitter(w.c.s.limits.WatchTimeoutMin)
	}
	end := time.NewTimer(timeout)
	defer end.Stop()
	bookmark := time.NewTicker(w.c.s.limits.BookmarkEvery)
	defer bookmark.Stop()
	if !w.sendInitial() {
		return
	}
	buf := make([]*seen, 0, batchMax)
	for {
		var wake <-chan struct{}
		var err error
		from := w.at
		buf, w.at, wake, err = w.feed.take(w.at, buf)
		if err != nil {
			w.sendError(apierrors.NewResourceExpired("too old resource version: the watch is too far behind and must begin anew"))
			return
		}
		if len(buf) > 0 {
			if !w.sendAll(buf) || !w.pause(end.C) {
				return
			}
			continue
		}
		select {
		case <-wake:
		case <-bookmark.C:
			if w.opts.bookmarks && !w.sendBookmark(from, false) {
				return
			}
		case <-end.C:
			return
		case <-w.c.r.Context().Done():
			return
		case <-w.c.s.closed:
			return
		case <-w.reset:
			w.sendError(apierrors.NewResourceExpired("the cluster was set back to another time"))
			return
		}
	}
}

// pause lets events gather after a write, so that many go in one.
func (w *watcher) pause(end <-chan time.Time) bool {
	t := time.NewTimer(w.c.s.limits.FlushEvery)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-end:
	case <-w.c.r.Context().Done():
	case <-w.c.s.closed:
	case <-w.reset:
	}
	return false
}

// jitter spreads the ends of watches that began together.
func (w *watcher) jitter(max time.Duration) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(w.c.r.RemoteAddr + w.c.r.URL.Path))
	return max * time.Duration(h.Sum32()%1024) / 1024
}

// sendInitial sends the state or the events that come before the feed.
func (w *watcher) sendInitial() bool {
	events := w.missed
	for _, o := range w.initial {
		events = append(events, &seen{Event: store.Event{Type: store.Added, Ref: kinds.Ref{Kind: w.c.res.kind, Key: kinds.KeyOf(o)}, Object: o}})
	}
	streaming := w.opts.initialEvents != nil && *w.opts.initialEvents
	w.initial, w.missed = nil, nil
	if len(events) > 0 && !w.sendEvents(events) {
		return false
	}
	if streaming && w.opts.bookmarks {
		return w.sendBookmark(w.at, true)
	}
	return true
}

func (w *watcher) sendAll(events []*seen) bool {
	kept := events[:0]
	for _, e := range events {
		if e.RV > w.rv { // what came before is among the initial events
			kept = append(kept, e)
		}
	}
	if len(kept) == 0 {
		return true
	}
	w.rv = kept[len(kept)-1].RV
	return w.sendEvents(kept)
}

func (w *watcher) sendEvents(events []*seen) bool {
	w.c.deadline()
	defer w.c.noDeadline()
	for i, e := range events {
		events[i] = nil // what is sent is not held on to until the client has taken all
		t, o := w.view(e)
		if t == "" {
			continue
		}
		frame, err := w.frame(e, t, o)
		if err != nil {
			w.sendError(apierrors.NewInternalError(err))
			return false
		}
		if _, err := w.c.w.Write(frame); err != nil {
			return false
		}
	}
	return w.c.flush()
}

// view is what a watch with a selector sees of an event: an object that comes to
// match is added, one that ceases to is deleted.
func (w *watcher) view(e *seen) (string, kinds.Object) {
	if w.c.res.namespaced && w.c.namespace != "" && e.Ref.Namespace != w.c.namespace {
		return "", nil
	}
	if w.opts.all() {
		return e.Type.String(), e.Object
	}
	is := e.Type != store.Deleted && w.opts.matches(e.Object)
	was := e.Old != nil && w.opts.matches(e.Old)
	switch {
	case is && was:
		return "MODIFIED", e.Object
	case is:
		return "ADDED", e.Object
	case was && e.Type == store.Deleted:
		return "DELETED", e.Object
	case was:
		return "DELETED", atVersion(e.Old, e.RV)
	}
	return "", nil
}

// atVersion is an object as it was, with the version of the write that ended it.
func atVersion(o kinds.Object, rv uint64) kinds.Object {
	c := kinds.WithType(o) // a shallow copy
	c.SetResourceVersion(strconv.FormatUint(rv, 10))
	return c
}

// sendBookmark tells the version up to which the client knows all: that of the
// cluster, unless events are waiting.
func (w *watcher) sendBookmark(at uint64, initialEnd bool) bool {
	rv := w.rv
	if !initialEnd {
		err := w.c.do(func(_ time.Time, a *api.API) {
			if w.feed.place() == at {
				rv = a.Store().RV()
			}
		})
		if err != nil {
			return false
		}
		w.rv = rv
	}
	o := w.c.res.kind.Info().New()
	o.SetResourceVersion(strconv.FormatUint(rv, 10))
	if initialEnd {
		o.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	shown, err := w.shown(o)
	if err != nil {
		return false
	}
	return w.sendFrame("BOOKMARK", shown)
}

// sendError ends a stream with a Status.
func (w *watcher) sendError(err error) {
	status := statusOf(err)
	w.sendFrame("ERROR", &status)
}

func (w *watcher) sendFrame(t string, o runtime.Object) bool {
	frame, err := frameOf(w.key.media, t, o)
	if err != nil {
		return false
	}
	w.c.deadline()
	defer w.c.noDeadline()
	if _, err := w.c.w.Write(frame); err != nil {
		return false
	}
	return w.c.flush()
}
