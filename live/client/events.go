package client

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// Limits of a Recorder.
const (
	notesQueuedMax  = 1000 // beyond, notes are dropped: they are for people
	notesKnownMax   = 4096 // whose Event objects are remembered, to be counted on
	noteMessageMax  = 1024 // bytes
	noteRetries     = 3
	noteRetryPause  = time.Second
	noteKnownPeriod = 10 * time.Minute
)

// Recorder writes notes as Event objects, one after the other.
type Recorder struct {
	c     *Client
	queue chan stamped
	known map[noteKey]*knownNote
}

type stamped struct {
	api.Note
	at time.Time
}

// noteKey is what must be equal for two notes to be one event that is counted.
type noteKey struct {
	uid                                             types.UID
	namespace, name, kind                           string
	kindOf, reason, message, component, path, where string
}

type knownNote struct {
	key   kinds.Key // of the Event
	count int32
	last  time.Time
}

// NewRecorder returns a recorder; Run does the writing.
func NewRecorder(c *Client) *Recorder {
	return &Recorder{c: c, queue: make(chan stamped, notesQueuedMax), known: map[noteKey]*knownNote{}}
}

// Record takes a note; it never waits, and drops the note if too many are waiting.
func (r *Recorder) Record(n api.Note) {
	select {
	case r.queue <- stamped{n, time.Now()}:
	default:
	}
}

// Run writes until the context ends.
func (r *Recorder) Run(ctx context.Context) {
	for {
		select {
		case n := <-r.queue:
			r.write(ctx, n)
		case <-ctx.Done():
			return
		}
	}
}

func (r *Recorder) write(ctx context.Context, n stamped) {
	if len(n.Message) > noteMessageMax {
		n.Message = n.Message[:noteMessageMax]
	}
	key := noteKey{n.About.GetUID(), n.About.GetNamespace(), n.About.GetName(), kinds.Of(n.About).String(), n.Type, n.Reason, n.Message, n.Component, n.FieldPath, n.Host}
	for range noteRetries {
		err := r.send(ctx, key, n)
		if err == nil || ctx.Err() != nil {
			return
		}
		if answered := apierrors.APIStatus(nil); asStatus(err, &answered) && answered.Status().Code < 500 && !apierrors.IsTooManyRequests(err) {
			return // refused: the namespace is going, or the object is not ours to speak of
		}
		select {
		case <-time.After(noteRetryPause):
		case <-ctx.Done():
			return
		}
	}
}

func asStatus(err error, into *apierrors.APIStatus) bool {
	s, ok := err.(apierrors.APIStatus)
	*into = s
	return ok
}

// send counts on the event that says the same, or makes one.
func (r *Recorder) send(ctx context.Context, key noteKey, n stamped) error {
	at := metav1.Time{Time: n.at.UTC().Truncate(time.Second)}
	if k := r.known[key]; k != nil && n.at.Sub(k.last) < noteKnownPeriod {
		patch, err := json.Marshal(map[string]any{"count": k.count + 1, "lastTimestamp": at})
		if err != nil {
			return err
		}
		_, err = r.c.Do(ctx, api.Patch(kinds.Ref{Kind: kinds.Event, Key: k.key}, types.MergePatchType, patch))
		if err == nil {
			k.count, k.last = k.count+1, n.at
			return nil
		}
		if !apierrors.IsNotFound(err) {
			return err
		}
	}
	e := newEvent(n.Note, at)
	if err := r.c.Call(ctx, http.MethodPost, collectionPath(kinds.Event, e.Namespace), "", kinds.WithType(e), nil); err != nil {
		return err
	}
	if len(r.known) >= notesKnownMax {
		clear(r.known)
	}
	r.known[key] = &knownNote{kinds.KeyOf(e), 1, n.at}
	return nil
}

// newEvent is a note as an object.
func newEvent(n api.Note, at metav1.Time) *corev1.Event {
	info := kinds.Of(n.About).Info()
	ns := n.About.GetNamespace()
	if ns == "" {
		ns = metav1.NamespaceDefault
	}
	apiVersion, kind := info.GVK.ToAPIVersionAndKind()
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprintf("%s.%016x", n.About.GetName(), rand.Uint64())},
		InvolvedObject: corev1.ObjectReference{APIVersion: apiVersion, Kind: kind, Namespace: n.About.GetNamespace(), Name: n.About.GetName(),
			UID: n.About.GetUID(), ResourceVersion: n.About.GetResourceVersion(), FieldPath: n.FieldPath},
		Reason: n.Reason, Message: n.Message, Type: n.Type, Count: 1, FirstTimestamp: at, LastTimestamp: at,
		Source: corev1.EventSource{Component: n.Component, Host: n.Host}, ReportingController: n.Component, ReportingInstance: n.Host,
	}
}
