package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	kjson "sigs.k8s.io/json"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// Limits of the journal.
const (
	batchOpsMax   = 100              // writes of one transaction; etcd's own limit is 128
	batchBytesMax = 1 << 20          // their size; etcd's own limit is 1.5 MiB
	pendingMax    = 1 << 17          // writes that wait to be put down; beyond it Append blocks
	pendingBytes  = 64 << 20         // their size, beyond which it blocks too
	compactBytes  = 128 << 20        // of writes between two times that history is thrown away
	compactMax    = 30 * time.Second // how long that may take
	retryFor      = 30 * time.Second // how long a transaction is tried again before the journal fails
	attemptMax    = 5 * time.Second  // of one try
	pageMax       = 1000             // objects of one read at the start
)

// Errors of a journal. Callers compare with errors.Is.
var (
	ErrTakenOver = errors.New("another server writes to this etcd now")
	ErrClosed    = errors.New("the journal is closed")
)

// Journal puts writes into etcd. Append is called by one goroutine; all else may be
// called by any.
type Journal struct {
	client  *clientv3.Client
	prefix  string
	owner   string
	durable func(store.Event)
	shrink  func(context.Context) error // gives back what etcd's files do not need
	close   func() error

	mu      sync.Mutex
	change  sync.Cond // pending, done, err or closing have changed
	pending []pending
	bytes   int64  // of pending
	done    uint64 // version of the last write that is there to stay
	err     error
	closing bool
	ended   chan struct{}
	waiters []waiter

	// Of the journal's goroutine: how much it has written since history was thrown away,
	// after how much that is due, and the revision of its last transaction.
	written, compactAt, revision int64
}

// pending is a write that waits, with the size of its object.
type pending struct {
	store.Event
	size int64
}

type waiter struct {
	rv uint64
	ch chan struct{}
}

// Loaded is the cluster as it was written down.
type Loaded struct {
	RV      uint64
	Objects []kinds.Object
}

// start takes the etcd over and reads what it holds. durable is called in the order of
// versions for each write that is there to stay, by the journal's goroutine.
func (j *Journal) start(ctx context.Context) (*Loaded, error) {
	j.ended = make(chan struct{})
	j.change.L = &j.mu
	if err := j.takeOver(ctx); err != nil {
		return nil, fmt.Errorf("take over etcd: %w", err)
	}
	loaded, err := j.load(ctx)
	if err != nil {
		return nil, err
	}
	j.done = loaded.RV
	go j.run()
	return loaded, nil
}

// load reads the cluster at one revision of etcd.
func (j *Journal) load(ctx context.Context) (*Loaded, error) {
	got, err := j.client.Get(ctx, j.prefix+"/version")
	if err != nil {
		return nil, fmt.Errorf("read the version: %w", err)
	}
	out, revision := &Loaded{}, got.Header.Revision
	if len(got.Kvs) > 0 {
		if out.RV, err = strconv.ParseUint(string(got.Kvs[0].Value), 10, 64); err != nil {
			return nil, fmt.Errorf("%s/version in etcd is %q, not a number", j.prefix, got.Kvs[0].Value)
		}
	}
	from, end := j.prefix+"/objects/", clientv3.GetPrefixRangeEnd(j.prefix+"/objects/")
	for {
		page, err := j.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(pageMax), clientv3.WithRev(revision))
		if err != nil {
			return nil, fmt.Errorf("read the objects: %w", err)
		}
		for _, kv := range page.Kvs {
			o, err := j.decode(string(kv.Key), kv.Value)
			if err != nil {
				return nil, err
			}
			out.Objects = append(out.Objects, o)
		}
		if !page.More {
			return out, nil
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

// keyOf is where an object lies.
func (j *Journal) keyOf(ref kinds.Ref) string {
	gvr := ref.Kind.Info().GVR()
	group := gvr.Group
	if group == "" {
		group = "core"
	}
	return j.prefix + "/objects/" + group + "/" + gvr.Resource + "/" + ref.Namespace + "/" + ref.Name
}

func (j *Journal) decode(key string, value []byte) (kinds.Object, error) {
	parts := strings.Split(strings.TrimPrefix(key, j.prefix+"/objects/"), "/")
	if len(parts) != 4 {
		return nil, fmt.Errorf("etcd key %s is no object's: want GROUP/PLURAL/NAMESPACE/NAME", key)
	}
	for _, info := range kinds.All() {
		gvr := info.GVR()
		if gvr.Resource != parts[1] || gvr.Group != parts[0] && (gvr.Group != "" || parts[0] != "core") || info.Kind == kinds.EventsEvent {
			continue
		}
		o := info.New()
		if err := kjson.UnmarshalCaseSensitivePreserveInts(value, o); err != nil {
			return nil, fmt.Errorf("etcd key %s: %w", key, err)
		}
		if got := kinds.KeyOf(o); got != (kinds.Key{Namespace: parts[2], Name: parts[3]}) {
			return nil, fmt.Errorf("etcd key %s holds the object %s", key, got)
		}
		return o, nil
	}
	return nil, fmt.Errorf("etcd key %s is of no kind that this version knows", key)
}

// Append notes a write to be put down; size is that of its object (kinds.Size). Writes
// must come in the order of versions, without gaps. It blocks while very many wait, or
// very large ones.
func (j *Journal) Append(e store.Event, size int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for (len(j.pending) >= pendingMax || j.bytes >= pendingBytes) && j.err == nil {
		j.change.Wait()
	}
	j.pending, j.bytes = append(j.pending, pending{e, size}), j.bytes+size
	j.change.Broadcast()
}

// Wait returns when the write of a version is there to stay.
func (j *Journal) Wait(ctx context.Context, rv uint64) error {
	j.mu.Lock()
	if j.done >= rv || j.err != nil {
		defer j.mu.Unlock()
		if j.done >= rv {
			return nil
		}
		return j.err
	}
	w := waiter{rv, make(chan struct{})}
	j.waiters = append(j.waiters, w)
	j.mu.Unlock()
	select {
	case <-w.ch:
		return j.failed(rv)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failed is the journal's error for a write that was not put down.
func (j *Journal) failed(rv uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.done >= rv {
		return nil
	}
	return j.err
}

// Ended is closed when the journal has failed or is closed; Err tells why.
func (j *Journal) Ended() <-chan struct{} { return j.ended }

// Err is why the journal ended.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Close puts down what waits and ends.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.closing = true
	j.change.Broadcast()
	j.mu.Unlock()
	<-j.ended
	err := j.Err()
	if errors.Is(err, ErrClosed) {
		err = nil
	}
	if e := j.client.Close(); !errors.Is(e, context.Canceled) { // which is how one in this process ends
		err = errors.Join(err, e)
	}
	return errors.Join(err, j.close())
}

// run puts pending writes down, as many at once as fit.
func (j *Journal) run() {
	defer close(j.ended)
	for {
		batch := j.take()
		if batch == nil {
			j.end(ErrClosed)
			return
		}
		if err := j.put(batch); err != nil {
			j.end(err)
			return
		}
		for _, e := range batch {
			j.durable(e)
		}
		j.finish(batch[len(batch)-1].RV)
	}
}

// take waits for writes; nil when there will be no more.
func (j *Journal) take() []store.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.pending) == 0 {
		if j.closing {
			return nil
		}
		j.change.Wait()
	}
	batch := make([]store.Event, min(len(j.pending), batchOpsMax))
	for i := range batch {
		batch[i] = j.pending[i].Event
		j.bytes -= j.pending[i].size
		j.pending[i] = pending{} // what is written is not held on to
	}
	j.pending = j.pending[len(batch):]
	j.change.Broadcast()
	return batch
}

func (j *Journal) finish(rv uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.done = rv
	left := j.waiters[:0]
	for _, w := range j.waiters {
		if w.rv <= rv {
			close(w.ch)
		} else {
			left = append(left, w)
		}
	}
	j.waiters = left
}

func (j *Journal) end(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = err
	for _, w := range j.waiters {
		close(w.ch)
	}
	j.waiters = nil
	j.change.Broadcast()
}

// put writes a batch, in as few transactions as its size allows.
func (j *Journal) put(batch []store.Event) error {
	var ops []clientv3.Op
	at, bytes := map[string]int{}, 0
	flush := func(rv uint64) error {
		ops = append(ops, clientv3.OpPut(j.prefix+"/version", strconv.FormatUint(rv, 10)))
		err := j.commit(ops)
		j.compact(int64(bytes))
		ops, at, bytes = nil, map[string]int{}, 0
		return err
	}
	for i, e := range batch {
		key := j.keyOf(e.Ref)
		op := clientv3.OpDelete(key)
		size := len(key)
		if e.Type != store.Deleted {
			value, err := json.Marshal(e.Object)
			if err != nil {
				return fmt.Errorf("%s in JSON: %w", e.Ref, err)
			}
			op = clientv3.OpPut(key, string(value))
			size += len(value)
		}
		if len(ops) > 0 && bytes+size > batchBytesMax {
			if err := flush(batch[i-1].RV); err != nil {
				return err
			}
		}
		bytes += size
		if k, again := at[key]; again {
			ops[k] = op // a transaction may name a key once: the later write counts
			continue
		}
		at[key] = len(ops)
		ops = append(ops, op)
	}
	return flush(batch[len(batch)-1].RV)
}

// commit carries out one transaction, again and again while etcd does not answer: what
// it writes is the same each time.
func (j *Journal) commit(ops []clientv3.Op) error {
	until := time.Now().Add(retryFor)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), attemptMax)
		answer, err := j.client.Txn(ctx).If(clientv3.Compare(clientv3.Value(j.prefix+"/owner"), "=", j.owner)).Then(ops...).Commit()
		cancel()
		switch {
		case err == nil && answer.Succeeded:
			j.revision = answer.Header.Revision
			return nil
		case err == nil:
			return ErrTakenOver
		case time.Now().After(until):
			return fmt.Errorf("write to etcd: %w", err)
		case isFull(err):
			if err := j.makeRoom(context.Background()); err != nil {
				return fmt.Errorf("write to etcd, which is full: %w", err)
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}
