package conformance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var eventEntries = []entry{
	{Group: "Events", Name: "Event, manage lifecycle of an Event", Codename: "[sig-instrumentation] Events should manage the lifecycle of an event", Test: coreEvent},
	{Group: "Events", Name: "Event, delete a collection", Codename: "[sig-instrumentation] Events should delete a collection of events", Test: coreEvents},
	{Group: "Events", Name: "New Event resource lifecycle, testing a single event",
		Codename: "[sig-instrumentation] Events API should ensure that an event can be fetched, patched, deleted, and listed", Test: newEvent},
	{Group: "Events", Name: "New Event resource lifecycle, testing a list of events",
		Codename: "[sig-instrumentation] Events API should delete a collection of events", Test: newEvents},
}

func (c *cluster) coreEventOf(name string) *corev1.Event {
	return &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: app(c.ns)}, Message: "a test event", Reason: "Test", Type: "Normal",
		InvolvedObject: corev1.ObjectReference{Namespace: c.ns}}
}

func coreEvent(t *testing.T, c *cluster) {
	events := c.kube.CoreV1().Events(c.ns)
	_, err := events.Create(c.ctx, c.coreEventOf("e"), metav1.CreateOptions{})
	require.NoError(t, err)
	everywhere := func() []corev1.Event {
		all, err := c.kube.CoreV1().Events("").List(c.ctx, selecting("app="+c.ns))
		require.NoError(t, err)
		return all.Items
	}
	require.Len(t, everywhere(), 1)
	_, err = events.Patch(c.ctx, "e", strategicPatch, patch(t, map[string]any{"message": "patched"}), metav1.PatchOptions{})
	require.NoError(t, err)
	got, err := events.Get(c.ctx, "e", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "patched", got.Message)
	at := metav1.NewMicroTime(time.Unix(1505828956, 0))
	got.Series = &corev1.EventSeries{Count: 100, LastObservedTime: at}
	_, err = events.Update(c.ctx, got, metav1.UpdateOptions{})
	require.NoError(t, err)
	got, err = events.Get(c.ctx, "e", metav1.GetOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 100, got.Series.Count)
	require.True(t, at.Equal(&got.Series.LastObservedTime))
	require.NoError(t, events.Delete(c.ctx, "e", metav1.DeleteOptions{}))
	require.Empty(t, everywhere())
}

func coreEvents(t *testing.T, c *cluster) {
	events := c.kube.CoreV1().Events(c.ns)
	for _, name := range []string{"one", "two", "three"} {
		_, err := events.Create(c.ctx, c.coreEventOf(name), metav1.CreateOptions{})
		require.NoError(t, err)
	}
	count := func() int {
		list, err := events.List(c.ctx, selecting("app="+c.ns))
		require.NoError(t, err)
		return len(list.Items)
	}
	require.Equal(t, 3, count())
	require.NoError(t, events.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("app="+c.ns)))
	require.Equal(t, 0, count())
}

func (c *cluster) newEventOf(name string) *eventsv1.Event {
	return &eventsv1.Event{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: app(c.ns)}, Regarding: corev1.ObjectReference{Namespace: c.ns},
		EventTime: metav1.NewMicroTime(time.Unix(1505828956, 0)), Note: "a test event", Reason: "Test", Action: "Do", Type: "Normal",
		ReportingController: "test-controller", ReportingInstance: "test-node"}
}

func newEvent(t *testing.T, c *cluster) {
	events := c.kube.EventsV1().Events(c.ns)
	_, err := events.Create(c.ctx, c.newEventOf("e"), metav1.CreateOptions{})
	require.NoError(t, err)
	listed := func() (n int) {
		for _, ns := range []string{c.ns, ""} {
			list, err := c.kube.EventsV1().Events(ns).List(c.ctx, selecting("app="+c.ns))
			require.NoError(t, err)
			n += len(list.Items)
		}
		return n
	}
	require.Equal(t, 2, listed(), "in the namespace, and among all")
	filtered, err := events.List(c.ctx, metav1.ListOptions{FieldSelector: "reportingController=test-controller"})
	require.NoError(t, err)
	require.Len(t, filtered.Items, 1)
	got, err := events.Get(c.ctx, "e", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "a test event", got.Note)
	before := got.DeepCopy()
	before.Series = &eventsv1.EventSeries{Count: 2, LastObservedTime: metav1.NewMicroTime(time.Unix(1505828951, 0))}
	got, err = events.Patch(c.ctx, "e", strategicPatch, patch(t, map[string]any{"series": before.Series}), metav1.PatchOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 2, got.Series.Count)
	got.Series = &eventsv1.EventSeries{Count: 100, LastObservedTime: metav1.NewMicroTime(time.Unix(1505828956, 0))}
	_, err = events.Update(c.ctx, got, metav1.UpdateOptions{})
	require.NoError(t, err)
	got, err = events.Get(c.ctx, "e", metav1.GetOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 100, got.Series.Count)
	require.Equal(t, "a test event", got.Note)
	require.NoError(t, events.Delete(c.ctx, "e", metav1.DeleteOptions{}))
	require.Zero(t, listed())
}

func newEvents(t *testing.T, c *cluster) {
	events := c.kube.EventsV1().Events(c.ns)
	for _, name := range []string{"one", "two", "three"} {
		_, err := events.Create(c.ctx, c.newEventOf(name), metav1.CreateOptions{})
		require.NoError(t, err)
	}
	count := func() int {
		list, err := events.List(c.ctx, selecting("app="+c.ns))
		require.NoError(t, err)
		return len(list.Items)
	}
	require.Equal(t, 3, count())
	require.NoError(t, events.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("app="+c.ns)))
	require.Equal(t, 0, count())
}
