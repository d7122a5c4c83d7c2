package speed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/profile"

	"seatrial.dev/seatrial/bench/schedperf"
	"seatrial.dev/seatrial/bench/upstream/fed"
	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/store"
)

// windowMax is how many writes of a kind kube-scheduler's watches may be behind.
const windowMax = 1 << 18

// Remote is a schedperf.Cluster: an API server with kube-scheduler as its client. Its
// methods are for one goroutine; requests come on others.
type Remote struct {
	server *apiserver.Server
	http   *http.Server
	stop   context.CancelFunc
	ended  sync.WaitGroup
	start  time.Time

	mu    sync.Mutex // guards what follows
	api   *api.API
	store *store.Store
	seen  uint64 // resourceVersion of the last write that was handed on
	pods  []schedperf.PodChange
	news  chan struct{} // holds a token when pods has something
	err   error
}

var (
	_ schedperf.Cluster = (*Remote)(nil)
	_ apiserver.Cluster = front{}
)

// NewRemote starts the server and kube-scheduler, with its default configuration but
// percent of the nodes looked at: 0 for its own choice, 100 for all.
func NewRemote(percent int32) (*Remote, error) {
	klog.SetLogger(logr.Discard())
	st := store.New(store.WindowDefault)
	a, err := api.New(st, rand.New(rand.NewPCG(1, 1)), api.DefaultConfig())
	if err != nil {
		return nil, err
	}
	r := &Remote{api: a, store: st, start: time.Now(), news: make(chan struct{}, 1)}
	r.server = apiserver.New(front{r}, apiserver.Config{Limits: apiserver.Limits{WatchWindow: windowMax}})
	for _, ns := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
		if _, err := r.Do(api.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})); err != nil {
			return nil, err
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("API server: %w", err)
	}
	r.http = &http.Server{Handler: r.server, ReadHeaderTimeout: time.Minute}
	r.ended.Add(1)
	go func() {
		defer r.ended.Done()
		if err := r.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			r.fail(fmt.Errorf("API server: %w", err))
		}
	}()
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	if err := r.schedule(ctx, "http://"+listener.Addr().String(), percent); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// media is what scheduler_perf's clients speak.
const media = "application/vnd.kubernetes.protobuf"

// schedule builds kube-scheduler as its own main does, waits until it has seen what
// there is, and lets it run.
func (r *Remote) schedule(ctx context.Context, url string, percent int32) error {
	client, err := kubernetes.NewForConfig(&rest.Config{Host: url, QPS: -1,
		ContentConfig: rest.ContentConfig{ContentType: media, AcceptContentTypes: media}})
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	// Of devices there are none, and no API for them.
	factory := fed.Replace(scheduler.NewInformerFactory(client, 0, nil), &resourcev1.ResourceClaim{}, &resourcev1.ResourceClaimTemplate{},
		&resourcev1.ResourceSlice{}, &resourcev1.DeviceClass{}, &resourcev1.DeviceTaintRule{})
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	s, err := scheduler.New(ctx, client, factory, nil, profile.NewRecorderFactory(broadcaster),
		scheduler.WithPercentageOfNodesToScore(&percent))
	if err != nil {
		return fmt.Errorf("kube-scheduler: %w", err)
	}
	if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		return fmt.Errorf("kube-scheduler's events: %w", err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if err := s.WaitForHandlersSync(ctx); err != nil {
		return fmt.Errorf("kube-scheduler: %w", err)
	}
	r.ended.Add(1)
	go func() {
		defer r.ended.Done()
		s.Run(ctx)
		broadcaster.Shutdown()
	}()
	return nil
}

func (r *Remote) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.Join(r.err, err)
}

// Close ends kube-scheduler and the server.
func (r *Remote) Close() error {
	r.stop()
	r.server.Close()
	err := r.http.Close()
	r.ended.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.err, err)
}

// Now is the real time.
func (r *Remote) Now() time.Time { return time.Now() }

// Worked is all the time since the start.
func (r *Remote) Worked() time.Duration { return time.Since(r.start) }
