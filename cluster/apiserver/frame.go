package apiserver

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// encodingKey is everything that the bytes of an event depend on beside the event.
type encodingKey struct {
	media  string
	form   form
	v1beta bool
	served schema.GroupVersionKind
	event  string // ADDED, MODIFIED or DELETED: selectors see the same write differently
	old    bool   // the object before the write is shown
}

// encodings are the byte forms of one event, each made once and shared by all
// watchers that want it.
type encodings struct {
	mu    sync.Mutex
	forms []encodedForm // few: a list is quicker than a map
}

type encodedForm struct {
	key  encodingKey
	data []byte
	err  error
}

// drop forgets the bytes, unless they are in use.
func (e *encodings) drop() {
	if e.mu.TryLock() {
		e.forms = nil
		e.mu.Unlock()
	}
}

// get returns a form, and makes it if it is the first to ask.
func (e *encodings) get(key encodingKey, make func() ([]byte, error)) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.forms {
		if e.forms[i].key == key {
			return e.forms[i].data, e.forms[i].err
		}
	}
	data, err := make()
	e.forms = append(e.forms, encodedForm{key, data, err})
	return data, err
}

// frame is an event as bytes of the stream.
func (w *watcher) frame(e *seen, t string, o kinds.Object) ([]byte, error) {
	encode := func() ([]byte, error) {
		shown, err := w.shown(o)
		if err != nil {
			return nil, err
		}
		return frameOf(w.key.media, t, shown)
	}
	if w.key.form == formTable { // depends on the time, and on what has been sent before
		return encode()
	}
	key := w.key
	key.event, key.old = t, o != e.Object
	return e.encoded.get(key, encode)
}

// shown is an object in the form that the watch asked for.
func (w *watcher) shown(o kinds.Object) (runtime.Object, error) {
	if w.key.form != formTable {
		return w.c.show(o)
	}
	if err := w.c.do(func(time.Time, *api.API) {}); err != nil { // for the time
		return nil, err
	}
	t, err := w.c.table([]kinds.Object{o}, metav1.ListMeta{ResourceVersion: o.GetResourceVersion()})
	if err == nil && w.headed {
		t.ColumnDefinitions = nil
	}
	w.headed = true
	return t, err
}

// frameOf makes a frame of a watch stream: a line of JSON, or a protobuf message
// after its length in four bytes.
func frameOf(media, t string, o runtime.Object) ([]byte, error) {
	if media == mediaProto {
		return protoFrame(t, o)
	}
	object, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(object)+len(t)+24)
	b = append(append(append(b, `{"type":"`...), t...), `","object":`...)
	return append(append(b, object...), '}', '\n'), nil
}

func protoFrame(t string, o runtime.Object) ([]byte, error) {
	var object bytes.Buffer
	if err := protoSerializer.Encode(o, &object); err != nil {
		return nil, err
	}
	e := metav1.WatchEvent{Type: t, Object: runtime.RawExtension{Raw: object.Bytes()}}
	m, err := e.Marshal()
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(m)), uint32(len(m))), m...), nil
}
