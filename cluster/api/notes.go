package api

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// Limits of the event records.
const (
	// noteTTL is how long an event is kept after it was last seen, Kubernetes'
	// --event-ttl.
	noteTTL = time.Hour
	// noteMessageMax is the length to which a message is cut, in bytes.
	noteMessageMax = 1024
)

// notebook finds the Event object of a note that was seen before, and the order in
// which events expire.
type notebook struct {
	byNote map[uint64]kinds.Key // by the note's hash; what is found must be compared
	expiry []noteExpiry         // in the order of at
}

type noteExpiry struct {
	hash uint64
	at   time.Time
}

// hash mixes what Kubernetes' event correlation compares (FNV-1a).
func (n *Note) hash() uint64 {
	h := uint64(14695981039346656037)
	for _, s := range [...]string{string(n.About.GetUID()), n.Type, n.Reason, n.Message, n.Component, n.FieldPath} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	return h
}

// saidBy tells whether an event says what a note says.
func (n *Note) saidBy(e *corev1.Event) bool {
	return e.InvolvedObject.UID == n.About.GetUID() && e.Type == n.Type && e.Reason == n.Reason && e.Message == n.Message &&
		e.Source.Component == n.Component && e.InvolvedObject.FieldPath == n.FieldPath
}

// Record stores a note as an Event object, or counts it on the one that says the
// same. Events older than an hour go.
func (a *API) Record(now time.Time, n Note) error {
	now = now.UTC().Truncate(time.Second)
	a.expireNotes(now)
	if len(n.Message) > noteMessageMax {
		n.Message = n.Message[:noteMessageMax]
	}
	hash := n.hash()
	if key, ok := a.notes.byNote[hash]; ok {
		if old, ok := a.store.Get(kinds.Ref{Kind: kinds.Event, Key: key}).(*corev1.Event); ok && n.saidBy(old) {
			e := shallow(old)
			e.Count++
			e.LastTimestamp = metav1.Time{Time: now}
			_, err := a.replace(e, false)
			return err
		}
	}
	return a.newEvent(now, n, hash)
}

func (a *API) newEvent(now time.Time, n Note, hash uint64) error {
	info := kinds.Of(n.About).Info()
	ns := n.About.GetNamespace()
	if ns == "" {
		ns = metav1.NamespaceDefault
	}
	ref := kinds.Ref{Kind: kinds.Event, Key: kinds.Key{Namespace: ns}}
	if err := a.admitPlace(ref); err != nil {
		return err
	}
	ref.Name = a.eventName(n.About.GetName())
	at := metav1.Time{Time: now}
	apiVersion, kind := info.GVK.ToAPIVersionAndKind()
	e := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: ref.Name, UID: a.uid(), CreationTimestamp: at},
		InvolvedObject: corev1.ObjectReference{APIVersion: apiVersion, Kind: kind, Namespace: n.About.GetNamespace(), Name: n.About.GetName(),
			UID: n.About.GetUID(), ResourceVersion: n.About.GetResourceVersion(), FieldPath: n.FieldPath},
		Reason: n.Reason, Message: n.Message, Type: n.Type, Count: 1, FirstTimestamp: at, LastTimestamp: at,
		Source: corev1.EventSource{Component: n.Component, Host: n.Host}, ReportingController: n.Component, ReportingInstance: n.Host,
	}
	if _, err := a.store.Create(e); err != nil {
		return fmt.Errorf("record event: %w", err)
	}
	if a.notes.byNote == nil {
		a.notes.byNote = map[uint64]kinds.Key{}
	}
	a.notes.byNote[hash] = ref.Key
	a.notes.expiry = append(a.notes.expiry, noteExpiry{hash, now.Add(noteTTL)})
	return nil
}

// dropEvents removes the events of a namespace that has gone: no controller keeps
// them in view.
func (a *API) dropEvents(namespace string) {
	var refs []kinds.Ref
	for o := range a.store.List(kinds.Event, namespace) {
		refs = append(refs, kinds.RefOf(o))
	}
	for _, ref := range refs {
		_, _ = a.store.Delete(ref, nil, 0) // it was listed a moment ago
	}
}

// eventName is the name Kubernetes' recorder gives an event: that of the object it
// is about, a dot and a number in hexadecimal.
func (a *API) eventName(about string) string {
	const hex = "0123456789abcdef"
	x := a.rand.Uint64()
	b := make([]byte, 0, len(about)+17)
	b = append(append(b, about...), '.')
	for i := 60; i >= 0; i -= 4 {
		b = append(b, hex[x>>i&0xf])
	}
	return string(b)
}

func (a *API) expireNotes(now time.Time) {
	n := 0
	for ; n < len(a.notes.expiry) && !a.notes.expiry[n].at.After(now); n++ {
		x := a.notes.expiry[n]
		key, ok := a.notes.byNote[x.hash]
		if !ok {
			continue
		}
		ref := kinds.Ref{Kind: kinds.Event, Key: key}
		e, _ := a.store.Get(ref).(*corev1.Event)
		if e != nil {
			if until := e.LastTimestamp.Add(noteTTL); until.After(now) { // counted since: it stays until then
				a.notes.expiry = append(a.notes.expiry, noteExpiry{x.hash, until})
				continue
			}
			_, _ = a.store.Delete(ref, nil, 0) // it was there a line ago
		}
		delete(a.notes.byNote, x.hash)
	}
	a.notes.expiry = a.notes.expiry[n:]
}
