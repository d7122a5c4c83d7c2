package reference

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"k8s.io/kubernetes/pkg/scheduler"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	schedcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultpreemption"
	plfeature "k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"

	"seatrial.dev/seatrial/bench/upstream/fed"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
)

// eventsMax is how many events of its own the scheduler may record; more are lost.
const eventsMax = 16

// Reference is one kube-scheduler with its default profile. It is not safe for
// concurrent use.
type Reference struct {
	ctx      context.Context
	stop     context.CancelFunc
	feeds    *fed.Informers
	sched    *scheduler.Scheduler
	snapshot *schedcache.Snapshot
	profile  framework.Framework
	preempt  *defaultpreemption.DefaultPreemption
	weights  map[string]int64
}

// New returns a reference that has seen nothing yet.
func New() (*Reference, error) {
	klog.SetLogger(logr.Discard())
	profile, args, err := defaultProfile()
	if err != nil {
		return nil, fmt.Errorf("upstream's default profile: %w", err)
	}
	r := &Reference{snapshot: schedcache.NewEmptySnapshot(), weights: map[string]int64{}}
	r.ctx, r.stop = context.WithCancel(context.Background())
	client := fake.NewSimpleClientset()
	r.feeds = fed.Replace(informers.NewSharedInformerFactory(client, 0), &corev1.Pod{}, &corev1.Node{}, &corev1.Namespace{}, &corev1.Service{},
		&corev1.ReplicationController{}, &appsv1.ReplicaSet{}, &appsv1.StatefulSet{}, &policyv1.PodDisruptionBudget{},
		&corev1.PersistentVolume{}, &corev1.PersistentVolumeClaim{}, &storagev1.StorageClass{}, &storagev1.CSINode{},
		&storagev1.CSIDriver{}, &storagev1.CSIStorageCapacity{}, &storagev1.VolumeAttachment{},
		&resourcev1.ResourceClaim{}, &resourcev1.ResourceClaimTemplate{}, &resourcev1.ResourceSlice{},
		&resourcev1.DeviceClass{}, &resourcev1.DeviceTaintRule{})
	r.sched, err = scheduler.New(r.ctx, client, r.feeds, nil,
		func(string) events.EventRecorderLogger { return events.NewFakeRecorder(eventsMax) },
		scheduler.WithProfiles(profile), scheduler.WithNodeInfoSnapshot(r.snapshot), scheduler.WithParallelism(1))
	if err != nil {
		r.stop()
		return nil, fmt.Errorf("upstream's scheduler: %w", err)
	}
	r.profile = r.sched.Profiles[corev1.DefaultSchedulerName]
	r.preempt, err = defaultpreemption.New(r.ctx, args, r.profile, plfeature.NewSchedulerFeaturesFromGates(feature.DefaultFeatureGate))
	if err != nil {
		r.stop()
		return nil, fmt.Errorf("upstream's preemption: %w", err)
	}
	for _, p := range r.profile.ListPlugins().Score.Enabled {
		r.weights[p.Name] = int64(p.Weight)
	}
	return r, nil
}

// defaultProfile is the default profile, but with every node considered as a candidate
// for preemption.
func defaultProfile() (schedconfig.KubeSchedulerProfile, *schedconfig.DefaultPreemptionArgs, error) {
	var versioned configv1.KubeSchedulerConfiguration
	scheme.Scheme.Default(&versioned)
	var cfg schedconfig.KubeSchedulerConfiguration
	if err := scheme.Scheme.Convert(&versioned, &cfg, nil); err != nil {
		return schedconfig.KubeSchedulerProfile{}, nil, err
	}
	for _, c := range cfg.Profiles[0].PluginConfig {
		if args, ok := c.Args.(*schedconfig.DefaultPreemptionArgs); ok {
			args.MinCandidateNodesPercentage = 100
			return cfg.Profiles[0], args, nil
		}
	}
	return schedconfig.KubeSchedulerProfile{}, nil, errors.New("it has no arguments for DefaultPreemption")
}

// Close ends what upstream's scheduler runs in the background.
func (r *Reference) Close() { r.stop() }

// Apply tells the scheduler one event.
func (r *Reference) Apply(e store.Event) error {
	if pod, ok := e.Object.(*corev1.Pod); ok && view.Finished(pod) {
		e.Type = store.Deleted // its informer asks for the others only
	}
	if err := r.feeds.Apply(e); err != nil {
		return fmt.Errorf("%v: %w", e.Ref, err)
	}
	return nil
}

// Plugins are the plugins of the profile's filters, in order.
func (r *Reference) Plugins() []string {
	var out []string
	for _, p := range r.profile.ListPlugins().Filter.Enabled {
		out = append(out, p.Name)
	}
	return out
}
