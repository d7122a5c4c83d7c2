package reference

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

// feed is an informer that is told its events: a handler has run when set or remove
// returns, and there is nothing to wait for.
type feed struct {
	indexer  cache.Indexer
	handlers []cache.ResourceEventHandler
}

var _ cache.SharedIndexInformer = (*feed)(nil)

// done is what a registration answers that has nothing to wait for.
type done struct{ closed chan struct{} }

func newDone() done {
	c := make(chan struct{})
	close(c)
	return done{c}
}

func (done) Name() string                            { return "fed by hand" }
func (d done) Done() <-chan struct{}                 { return d.closed }
func (done) HasSynced() bool                         { return true }
func (d done) HasSyncedChecker() cache.DoneChecker   { return d }
func (*feed) HasSynced() bool                        { return true }
func (*feed) HasSyncedChecker() cache.DoneChecker    { return newDone() }
func (f *feed) GetStore() cache.Store                { return f.indexer }
func (f *feed) GetIndexer() cache.Indexer            { return f.indexer }
func (f *feed) AddIndexers(i cache.Indexers) error   { return f.indexer.AddIndexers(i) }
func (*feed) GetController() cache.Controller        { return nil }
func (*feed) Run(<-chan struct{})                    {}
func (*feed) RunWithContext(context.Context)         {}
func (*feed) LastSyncResourceVersion() string        { return "" }
func (*feed) SetTransform(cache.TransformFunc) error { return nil }
func (*feed) IsStopped() bool                        { return false }

func (*feed) SetWatchErrorHandler(cache.WatchErrorHandler) error { return nil }

func (*feed) SetWatchErrorHandlerWithContext(cache.WatchErrorHandlerWithContext) error { return nil }

func (*feed) RemoveEventHandler(cache.ResourceEventHandlerRegistration) error { return nil }

func (f *feed) AddEventHandler(h cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	f.handlers = append(f.handlers, h)
	for _, o := range f.indexer.List() {
		h.OnAdd(o, true)
	}
	return newDone(), nil
}

func (f *feed) AddEventHandlerWithResyncPeriod(h cache.ResourceEventHandler, _ time.Duration) (cache.ResourceEventHandlerRegistration, error) {
	return f.AddEventHandler(h)
}

func (f *feed) AddEventHandlerWithOptions(h cache.ResourceEventHandler, _ cache.HandlerOptions) (cache.ResourceEventHandlerRegistration, error) {
	return f.AddEventHandler(h)
}

func (f *feed) apply(e store.Event) error {
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

// feeds is a factory of informers all of whose informers are feeds.
type feeds struct {
	informers.SharedInformerFactory
	byType map[reflect.Type]*feed
}

func newFeeds(client kubernetes.Interface, of ...runtime.Object) *feeds {
	fs := &feeds{informers.NewSharedInformerFactory(client, 0), map[reflect.Type]*feed{}}
	for _, o := range of {
		f := &feed{indexer: cache.NewIndexer(cache.DeletionHandlingMetaNamespaceKeyFunc,
			cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})}
		fs.byType[reflect.TypeOf(o)] = f
		fs.InformerFor(o, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer { return f })
	}
	return fs
}

func (fs *feeds) apply(e store.Event) error {
	if f := fs.byType[reflect.TypeOf(e.Object)]; f != nil {
		return f.apply(e)
	}
	return nil // a kind that kube-scheduler does not watch
}
