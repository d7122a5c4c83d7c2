package fed

import (
	"context"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"seatrial.dev/seatrial/cluster/store"
)

// Informer is an informer that is told its events: a handler has run when Apply returns,
// and there is nothing to wait for.
type Informer struct {
	indexer  cache.Indexer
	handlers []cache.ResourceEventHandler
}

var _ cache.SharedIndexInformer = (*Informer)(nil)

// done is what a registration answers that has nothing to wait for.
type done struct{ closed chan struct{} }

func newDone() done {
	c := make(chan struct{})
	close(c)
	return done{c}
}

func (done) Name() string                                { return "fed by hand" }
func (d done) Done() <-chan struct{}                     { return d.closed }
func (done) HasSynced() bool                             { return true }
func (d done) HasSyncedChecker() cache.DoneChecker       { return d }
func (*Informer) HasSynced() bool                        { return true }
func (*Informer) HasSyncedChecker() cache.DoneChecker    { return newDone() }
func (f *Informer) GetStore() cache.Store                { return f.indexer }
func (f *Informer) GetIndexer() cache.Indexer            { return f.indexer }
func (f *Informer) AddIndexers(i cache.Indexers) error   { return f.indexer.AddIndexers(i) }
func (*Informer) GetController() cache.Controller        { return nil }
func (*Informer) Run(<-chan struct{})                    {}
func (*Informer) RunWithContext(context.Context)         {}
func (*Informer) LastSyncResourceVersion() string        { return "" }
func (*Informer) SetTransform(cache.TransformFunc) error { return nil }
func (*Informer) IsStopped() bool                        { return false }

func (*Informer) SetWatchErrorHandler(cache.WatchErrorHandler) error { return nil }

func (*Informer) SetWatchErrorHandlerWithContext(cache.WatchErrorHandlerWithContext) error {
	return nil
}

func (*Informer) RemoveEventHandler(cache.ResourceEventHandlerRegistration) error { return nil }

func (f *Informer) AddEventHandler(h cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	f.handlers = append(f.handlers, h)
	for _, o := range f.indexer.List() {
		h.OnAdd(o, true)
	}
	return newDone(), nil
}

func (f *Informer) AddEventHandlerWithResyncPeriod(h cache.ResourceEventHandler, _ time.Duration) (cache.ResourceEventHandlerRegistration, error) {
	return f.AddEventHandler(h)
}

func (f *Informer) AddEventHandlerWithOptions(h cache.ResourceEventHandler, _ cache.HandlerOptions) (cache.ResourceEventHandlerRegistration, error) {
	return f.AddEventHandler(h)
}

func (f *Informer) apply(e store.Event) error {
	if e.Type == store.Deleted {
		if err := f.indexer.Delete(e.Object); err != nil {
			return err
		}
		for _, h := range f.handlers {
			h.OnDelete(e.Object)
		}
		return nil
	}
	old, exists, err := f.indexer.Get(e.Object)
	if err != nil {
		return err
	}
	if err := f.indexer.Update(e.Object); err != nil {
		return err
	}
	for _, h := range f.handlers {
		if exists {
			h.OnUpdate(old, e.Object)
		} else {
			h.OnAdd(e.Object, false)
		}
	}
	return nil
}

// Informers is a factory of informers some of which are fed.
type Informers struct {
	informers.SharedInformerFactory
	byType map[reflect.Type]*Informer
}

// Replace makes those of a factory's informers fed that hold objects of the types of
// the ones given. None of them may have been asked for before.
func Replace(f informers.SharedInformerFactory, of ...runtime.Object) *Informers {
	fs := &Informers{f, map[reflect.Type]*Informer{}}
	for _, o := range of {
		i := &Informer{indexer: cache.NewIndexer(cache.DeletionHandlingMetaNamespaceKeyFunc,
			cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})}
		fs.byType[reflect.TypeOf(o)] = i
		fs.InformerFor(o, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer { return i })
	}
	return fs
}

// Apply feeds an event to its informer, if that is fed.
func (fs *Informers) Apply(e store.Event) error {
	if i := fs.byType[reflect.TypeOf(e.Object)]; i != nil {
		return i.apply(e)
	}
	return nil
}
