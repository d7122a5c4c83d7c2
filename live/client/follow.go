package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// The wait before a list or watch that failed is tried again: it doubles, and is drawn
// between half of it and all of it, so that a thousand agents do not come at once.
const (
	retryMin = 100 * time.Millisecond
	retryMax = 10 * time.Second
)

// watchMax is how long one watch lasts; it is then resumed.
const watchMax = 10 * time.Minute

// Sink is who follows a kind. Its functions are called from Follow's goroutine.
type Sink struct {
	// Event hears of a change. Versions grow; a list tells what differs from before, each
	// with the list's version.
	Event func(store.Event)
	// Synced says that all up to a list has been told. It may be nil.
	Synced func()
	// Failed hears what keeps the view behind; it is tried again. It may be nil.
	Failed func(error)
}

// follower is one Follow.
type follower struct {
	c     *Client
	kind  kinds.Kind
	sel   Selection
	sink  Sink
	known map[kinds.Key]kinds.Object
	rv    string // version up to which all has been told; "" asks for a list
	wait  time.Duration
}

// Follow lists and watches until the context ends.
func (c *Client) Follow(ctx context.Context, k kinds.Kind, s Selection, sink Sink) {
	f := &follower{c: c, kind: k, sel: s, sink: sink, known: map[kinds.Key]kinds.Object{}}
	for ctx.Err() == nil {
		if err := f.turn(ctx); err != nil && ctx.Err() == nil {
			f.failed(err)
			f.pause(ctx)
		}
	}
}

func (f *follower) failed(err error) {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		f.rv = ""
	}
	if f.sink.Failed != nil {
		f.sink.Failed(fmt.Errorf("following %s: %w", f.kind.Info().Plural, err))
	}
}

func (f *follower) pause(ctx context.Context) {
	f.wait = min(max(2*f.wait, retryMin), retryMax)
	t := time.NewTimer(f.wait/2 + rand.N(f.wait/2))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// turn is a list, if one is needed, and a watch.
func (f *follower) turn(ctx context.Context) error {
	if f.rv == "" {
		if err := f.list(ctx); err != nil {
			return err
		}
	}
	began := time.Now()
	err := f.watch(ctx)
	if errors.Is(err, io.EOF) {
		if time.Since(began) < time.Second {
			return errors.New("the watch ended at once")
		}
		return nil // the server's time is over, or the connection's
	}
	return err
}

func (f *follower) list(ctx context.Context) error {
	objects, rv, err := f.c.List(ctx, f.kind, f.sel)
	if err != nil {
		return err
	}
	version, err := strconv.ParseUint(rv, 10, 64)
	if err != nil {
		return fmt.Errorf("resourceVersion %q of a list: want a number", rv)
	}
	gone := maps.Clone(f.known)
	for _, o := range objects {
		key := kinds.KeyOf(o)
		delete(gone, key)
		if old := f.known[key]; old == nil || old.GetUID() != o.GetUID() || old.GetResourceVersion() != o.GetResourceVersion() {
			if old != nil && old.GetUID() != o.GetUID() {
				f.tell(store.Deleted, old, version)
			}
			f.tell(store.Modified, o, version)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(gone), kinds.Key.Compare) {
		f.tell(store.Deleted, gone[key], version)
	}
	f.rv, f.wait = rv, 0
	if f.sink.Synced != nil {
		f.sink.Synced()
	}
	return nil
}

// tell hands a change on and remembers it.
func (f *follower) tell(t store.Type, o kinds.Object, version uint64) {
	key := kinds.KeyOf(o)
	old := f.known[key]
	switch {
	case t == store.Deleted:
		delete(f.known, key)
	default:
		t = store.Modified
		if old == nil {
			t = store.Added
		}
		f.known[key] = o
	}
	f.sink.Event(store.Event{Type: t, Ref: kinds.Ref{Kind: f.kind, Key: key}, RV: version, Object: o, Old: old})
}

func (f *follower) watch(ctx context.Context) error {
	q := f.sel.query()
	q.Set("watch", "true")
	q.Set("allowWatchBookmarks", "true")
	q.Set("resourceVersion", f.rv)
	q.Set("timeoutSeconds", strconv.Itoa(int((watchMax/2+rand.N(watchMax/2))/time.Second)))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := f.c.send(ctx, http.MethodGet, collectionPath(f.kind, f.sel.Namespace)+"?"+q.Encode(), "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 16<<10), eventBytesMax)
	for lines.Scan() {
		if err := f.event(lines.Bytes()); err != nil {
			return err
		}
		f.wait = 0
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.EOF
}

// event takes one line of a watch.
func (f *follower) event(line []byte) error {
	var e struct {
		Type   string          `json:"type"`
		Object json.RawMessage `json:"object"`
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return fmt.Errorf("an event of a watch: %w", err)
	}
	if e.Type == "ERROR" {
		var s metav1.Status
		if err := json.Unmarshal(e.Object, &s); err != nil {
			return err
		}
		f.rv = "" // whatever it is, a list puts it right
		return &apierrors.StatusError{ErrStatus: s}
	}
	o := f.kind.Info().New()
	if err := json.Unmarshal(e.Object, o); err != nil {
		return fmt.Errorf("an event of a watch: %w", err)
	}
	version, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	if err != nil {
		return fmt.Errorf("an event of a watch: resourceVersion %q: want a number", o.GetResourceVersion())
	}
	switch e.Type {
	case "ADDED", "MODIFIED":
		f.tell(store.Modified, o, version)
	case "DELETED":
		f.tell(store.Deleted, o, version)
	case "BOOKMARK":
	default:
		return fmt.Errorf("an event of a watch: type %q", e.Type)
	}
	f.rv = o.GetResourceVersion()
	return nil
}
