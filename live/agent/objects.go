package agent

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/live/agent/volume"
	"seatrial.dev/seatrial/live/client"
	"seatrial.dev/seatrial/nodeagent/inject"
)

// volumesEvery is how often volumes that are made of objects are brought up to date.
const volumesEvery = time.Minute

// objects fetches what a pod needs of its namespace. What is not there is left out; any
// other failure is an error.
func (a *Agent) objects(ctx context.Context, pod *corev1.Pod, w inject.Wanted) (*inject.Objects, error) {
	out := &inject.Objects{ConfigMaps: map[string]*corev1.ConfigMap{}, Secrets: map[string]*corev1.Secret{}, Tokens: map[inject.Token]string{}}
	for _, name := range w.ConfigMaps {
		o, err := fetch[*corev1.ConfigMap](ctx, a.client, kinds.ConfigMap, pod.Namespace, name)
		if err != nil {
			return nil, err
		}
		if o != nil {
			out.ConfigMaps[name] = o
		}
	}
	for _, name := range w.Secrets {
		o, err := fetch[*corev1.Secret](ctx, a.client, kinds.Secret, pod.Namespace, name)
		if err != nil {
			return nil, err
		}
		if o != nil {
			out.Secrets[name] = o
		}
	}
	for _, t := range w.Tokens {
		text, err := a.tokens.get(ctx, a.client, pod, t)
		if err != nil {
			return nil, err
		}
		out.Tokens[t] = text
	}
	return out, nil
}

func fetch[T kinds.Object](ctx context.Context, c *client.Client, k kinds.Kind, namespace, name string) (T, error) {
	o, err := client.Get[T](ctx, c, kinds.Ref{Kind: k, Key: kinds.Key{Namespace: namespace, Name: name}})
	var none T
	if apierrors.IsNotFound(err) {
		return none, nil
	}
	return o, err
}

// tokens are those of service accounts that pods have been given.
type tokens struct {
	mu     sync.Mutex
	byPod  map[types.UID]map[inject.Token]token
	minted int
}

type token struct {
	text  string
	renew time.Time
}

// renewFirst is the longest that a token is used that could live longer: some readers
// look at their file but once a day.
const renewFirst = 24 * time.Hour

// get is the pod's token, a new one if it has lived four fifths of its life.
func (t *tokens) get(ctx context.Context, c *client.Client, pod *corev1.Pod, want inject.Token) (string, error) {
	t.mu.Lock()
	have := t.byPod[pod.UID][want]
	t.mu.Unlock()
	now := time.Now()
	if have.text != "" && now.Before(have.renew) {
		return have.text, nil
	}
	var audiences []string
	if want.Audience != "" {
		audiences = []string{want.Audience}
	}
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	r, err := c.Token(ctx, kinds.Key{Namespace: pod.Namespace, Name: account}, audiences, want.Seconds, kinds.KeyOf(pod), pod.UID)
	if err != nil {
		return "", err
	}
	life := r.Status.ExpirationTimestamp.Sub(now)
	fresh := token{r.Status.Token, now.Add(min(life*4/5, renewFirst))}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byPod == nil {
		t.byPod = map[types.UID]map[inject.Token]token{}
	}
	if t.byPod[pod.UID] == nil {
		t.byPod[pod.UID] = map[inject.Token]token{}
	}
	t.byPod[pod.UID][want] = fresh
	t.minted++
	return fresh.text, nil
}

func (t *tokens) forget(pod types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byPod, pod)
}

// setupVolumes makes a pod's volumes.
func (a *Agent) setupVolumes(ctx context.Context, pod *corev1.Pod) error {
	objects, err := a.objects(ctx, pod, inject.VolumesWanted(pod))
	if err != nil {
		return err
	}
	return volume.Setup(a.volumesDir(pod.UID), a.about(pod, ""), objects, false)
}

// refreshVolumes looks at all pods' volumes now and then.
func (a *Agent) refreshVolumes(ctx context.Context) {
	for sleep(ctx, volumesEvery/2+rand.N(volumesEvery/2)) {
		a.RefreshVolumes()
	}
}

// RefreshVolumes lets all volumes that are made of objects be brought up to date now.
func (a *Agent) RefreshVolumes() {
	for _, p := range a.pods.all() {
		if api := p.seen(); api != nil && madeOfObjects(api) {
			a.queue(p, func(ctx context.Context) { a.refreshPod(ctx, p) })
		}
	}
}

func (a *Agent) refreshPod(ctx context.Context, p *pod) {
	api := p.seen()
	if !p.sandbox || api == nil || p.gone.Load() || api.DeletionTimestamp != nil {
		return
	}
	objects, err := a.objects(ctx, api, inject.VolumesWanted(api))
	if err != nil {
		a.log("volumes of pod %s/%s stay as they are: %v", api.Namespace, api.Name, err) // the server is away
		return
	}
	if err := volume.Setup(a.volumesDir(api.UID), a.about(api, p.address()), objects, true); err != nil {
		a.warn(api, "FailedMount", err.Error())
	}
}

func madeOfObjects(pod *corev1.Pod) bool {
	for i := range pod.Spec.Volumes {
		if inject.Made(&pod.Spec.Volumes[i]) {
			return true
		}
	}
	return false
}

// warn tells people something about a pod that the node agent's core does not know of.
func (a *Agent) warn(pod *corev1.Pod, reason, message string) {
	n := api.Warning(pod, "kubelet", reason, message)
	n.Host = a.cfg.NodeName
	a.recorder.Record(n)
}
