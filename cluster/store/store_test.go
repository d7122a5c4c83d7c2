package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/kinds"
)

func configMap(ns, name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Data: map[string]string{"v": value}}
}

func show(o kinds.Object) string {
	c := o.(*corev1.ConfigMap)
	return fmt.Sprintf("%s/%s@%s %s", c.Namespace, c.Name, c.ResourceVersion, c.Data["v"])
}

// TestTranscripts plays the commands of testdata; -rewrite writes their output.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := New(WindowDefault)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return play(t, &s, d)
		})
	})
}

func play(t *testing.T, s **Store, d *datadriven.TestData) string {
	var ns, name, value string
	var rv uint64
	var window int
	d.MaybeScanArgs(t, "ns", &ns)
	d.MaybeScanArgs(t, "name", &name)
	d.MaybeScanArgs(t, "v", &value)
	d.MaybeScanArgs(t, "rv", &rv)
	d.MaybeScanArgs(t, "window", &window)
	ref := kinds.Ref{Kind: kinds.ConfigMap, Key: kinds.Key{Namespace: ns, Name: name}}
	var e Event
	var err error
	switch d.Cmd {
	case "new":
		*s = New(window)
		return ""
	case "create":
		e, err = (*s).Create(configMap(ns, name, value))
	case "update":
		e, err = (*s).Update(configMap(ns, name, value), rv)
	case "delete":
		e, err = (*s).Delete(ref, nil, rv)
	case "get":
		if o := (*s).Get(ref); o != nil {
			return show(o) + "\n"
		}
		return "nothing\n"
	case "list":
		var b strings.Builder
		for o := range (*s).List(kinds.ConfigMap, ns) {
			b.WriteString(show(o) + "\n")
		}
		return b.String()
	case "since":
		events, err := (*s).Since(rv)
		if err != nil {
			return err.Error() + "\n"
		}
		var b strings.Builder
		for _, e := range events {
			b.WriteString(showEvent(e))
		}
		return b.String()
	case "fill":
		for i := range window {
			if _, err := (*s).Create(configMap("fill", fmt.Sprint(i), "x")); err != nil {
				return err.Error()
			}
		}
		return fmt.Sprintf("at %d\n", (*s).RV())
	}
	if err != nil {
		return err.Error() + "\n"
	}
	return showEvent(e)
}

func showEvent(e Event) string {
	s := fmt.Sprintf("%d %s %s", e.RV, e.Type, show(e.Object))
	if e.Old != nil {
		s += " (was " + show(e.Old) + ")"
	}
	return s + "\n"
}

// model is the store as a person would write it who had all the time in the world.
type model struct {
	objs   map[kinds.Key]string
	vers   map[kinds.Key]uint64
	rv     uint64
	events []string
	states [][]string // after each version, as lists show them
}

// TestAgainstModel compares random writes with the model: contents, versions,
// conflicts, order of lists, and every watch from every version.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(WindowDefault)
		m := model{objs: map[kinds.Key]string{}, vers: map[kinds.Key]uint64{}}
		for range rapid.IntRange(1, 60).Draw(t, "writes") {
			key := kinds.Key{Namespace: rapid.SampledFrom([]string{"a", "a-b", "b"}).Draw(t, "ns"), Name: rapid.SampledFrom([]string{"x", "x-y", "y", "z"}).Draw(t, "name")}
			value := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "value"))
			expect := uint64(0)
			if rapid.Bool().Draw(t, "conditional") {
				expect = rapid.Uint64Range(1, m.rv+1).Draw(t, "expect")
			}
			m.step(t, s, rapid.SampledFrom([]string{"create", "update", "delete"}).Draw(t, "verb"), key, value, expect)
		}
		m.compare(t, s)
		m.compareHistory(t, s)
	})
}

func (m *model) step(t *rapid.T, s *Store, verb string, key kinds.Key, value string, expect uint64) {
	_, exists := m.objs[key]
	var want error
	switch {
	case verb == "create" && exists:
		want = ErrExists
	case verb != "create" && !exists:
		want = ErrNotFound
	case verb != "create" && expect != 0 && expect != m.vers[key]:
		want = ErrConflict
	}
	var err error
	switch verb {
	case "create":
		_, err = s.Create(configMap(key.Namespace, key.Name, value))
	case "update":
		_, err = s.Update(configMap(key.Namespace, key.Name, value), expect)
	case "delete":
		value = m.objs[key]
		_, err = s.Delete(kinds.Ref{Kind: kinds.ConfigMap, Key: key}, nil, expect)
	}
	require.Truef(t, errors.Is(err, want), "%s %v: got %v, want %v", verb, key, err, want)
	if want != nil {
		return
	}
	m.rv++
	m.events = append(m.events, fmt.Sprintf("%d %s %s", m.rv, key, value))
	if verb == "delete" {
		delete(m.objs, key)
		delete(m.vers, key)
	} else {
		m.objs[key], m.vers[key] = value, m.rv
	}
	var state []string
	for key, value := range m.objs {
		state = append(state, fmt.Sprintf("%s\x00%s %d %s", key.Namespace, key.Name, m.vers[key], value))
	}
	slices.Sort(state)
	m.states = append(m.states, state)
}

// compareHistory lists the state after each write, and the part of it from a key on.
func (m *model) compareHistory(t *rapid.T, s *Store) {
	start := kinds.Key{Namespace: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "from"), Name: rapid.SampledFrom([]string{"", "x-y"}).Draw(t, "fromName")}
	for i, want := range m.states {
		list, err := s.ListAt(kinds.ConfigMap, "", start, uint64(i+1))
		require.NoError(t, err)
		var got, rest []string
		for o := range list {
			c := o.(*corev1.ConfigMap)
			got = append(got, fmt.Sprintf("%s\x00%s %s %s", c.Namespace, c.Name, c.ResourceVersion, c.Data["v"]))
		}
		for _, line := range want {
			if line >= start.Namespace+"\x00"+start.Name {
				rest = append(rest, line)
			}
		}
		require.Equal(t, rest, got)
	}
}

func (m *model) compare(t *rapid.T, s *Store) {
	require.Equal(t, m.rv, s.RV())
	var want, got []string
	for key, value := range m.objs {
		want = append(want, fmt.Sprintf("%s\x00%s %d %s", key.Namespace, key.Name, m.vers[key], value))
	}
	slices.Sort(want)
	for o := range s.List(kinds.ConfigMap, "") {
		c := o.(*corev1.ConfigMap)
		got = append(got, fmt.Sprintf("%s\x00%s %s %s", c.Namespace, c.Name, c.ResourceVersion, c.Data["v"]))
	}
	require.Equal(t, want, got)
	for from := range m.rv + 1 {
		events, err := s.Since(from)
		require.NoError(t, err)
		require.Len(t, events, int(m.rv-from))
		for i, e := range events {
			require.Equal(t, m.events[from+uint64(i)], fmt.Sprintf("%d %s %s", e.RV, e.Ref.Key, e.Object.(*corev1.ConfigMap).Data["v"]))
		}
	}
}

// A store that mirrors another one has its objects and, but for their numbers, its writes.
func TestMirror(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, follower := New(WindowDefault), New(WindowDefault)
		m := model{objs: map[kinds.Key]string{}, vers: map[kinds.Key]uint64{}}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			verb := rapid.SampledFrom([]string{"create", "update", "delete"}).Draw(t, "verb")
			key := kinds.Key{Namespace: "ns", Name: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")}
			before := s.RV()
			m.step(t, s, verb, key, fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "value")), 0)
			if s.RV() == before {
				continue
			}
			e, err := s.At(s.RV())
			if err != nil {
				t.Fatal(err)
			}
			got := follower.Mirror(e)
			if showEvent(got) != showEvent(e) {
				t.Fatalf("mirrored as %s, was %s", showEvent(got), showEvent(e))
			}
		}
		want, got := "", ""
		for o := range s.List(kinds.ConfigMap, "") {
			want += show(o) + "\n"
		}
		for o := range follower.List(kinds.ConfigMap, "") {
			got += show(o) + "\n"
		}
		if want != got {
			t.Fatalf("the follower has\n%s, not\n%s", got, want)
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	s := New(WindowDefault)
	pods := make([]*corev1.Pod, 100_000)
	for i := range pods {
		pods[i] = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("pod-%d", i)}}
		if _, err := s.Create(pods[i]); err != nil {
			b.Fatal(err)
		}
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		p := *pods[i%len(pods)]
		if _, err := s.Update(&p, 0); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// TestForget drops the oldest writes, over pieces of the log, and keeps all else as it is.
func TestForget(t *testing.T) {
	s := New(1 << 18)
	put := func(n int) {
		for range n {
			o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "m"}}
			var err error
			if s.Get(kinds.RefOf(o)) == nil {
				_, err = s.Create(o)
			} else {
				_, err = s.Update(o, 0)
			}
			require.NoError(t, err)
		}
	}
	s.Forget(5) // there is nothing yet
	put(3 * chunkLen)
	for _, to := range []uint64{10, 9, chunkLen, chunkLen + 1, 2*chunkLen + 7} {
		s.Forget(to)
		kept := max(to, 10)
		_, err := s.Since(kept - 1)
		require.ErrorIs(t, err, ErrTooOld)
		list, err := s.Since(kept)
		require.NoError(t, err)
		require.Len(t, list, int(s.RV()-kept))
		require.Equal(t, kept+1, list[0].RV)
		_, err = s.At(kept)
		require.ErrorIs(t, err, ErrTooOld)
		e, err := s.At(kept + 1)
		require.NoError(t, err)
		require.Equal(t, kept+1, e.RV)
	}
	s.Forget(s.RV() + 100)
	list, err := s.Since(s.RV())
	require.NoError(t, err)
	require.Empty(t, list)
	put(2 * chunkLen)
	list, err = s.Since(s.RV() - 2*chunkLen)
	require.NoError(t, err)
	require.Len(t, list, 2*chunkLen)
}

// TestSinceOf gives one kind's writes, and not more than asked for.
func TestSinceOf(t *testing.T) {
	s := New(1 << 18)
	for i := range 3 * chunkLen {
		_, err := s.Create(configMap("default", fmt.Sprint(i), "x"))
		require.NoError(t, err)
		if i%1000 == 7 {
			_, err := s.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint(i)}})
			require.NoError(t, err)
		}
	}
	all, err := s.Since(0)
	require.NoError(t, err)
	for _, rv := range []uint64{0, 1007, 1008, 1009, s.RV() - 1, s.RV(), s.RV() + 1} {
		for _, k := range []kinds.Kind{kinds.ConfigMap, kinds.Secret, kinds.Pod} {
			var want []Event
			for _, e := range all {
				if e.RV > rv && e.Ref.Kind == k {
					want = append(want, e)
				}
			}
			got, err := s.SinceOf(rv, k, len(want))
			require.NoError(t, err)
			require.Equal(t, want, got)
			if len(want) > 0 {
				_, err = s.SinceOf(rv, k, len(want)-1)
				require.ErrorIs(t, err, ErrTooOld)
			}
		}
	}
	s.Forget(100)
	_, err = s.SinceOf(99, kinds.ConfigMap, 1<<20)
	require.ErrorIs(t, err, ErrTooOld)
}
