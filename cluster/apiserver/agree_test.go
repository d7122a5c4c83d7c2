package apiserver_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/store"
)

// TestWatchAgreesWithList: while many write at once, whoever adds up a watch's events
// comes to what a list shows, with a selector and without, in either media type.
func TestWatchAgreesWithList(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("reproduce with seed %d", seed)
	c := newCluster(t, store.WindowDefault, apiserver.Config{})
	url := c.serve(t).URL
	ctx := withDeadline(t)
	var watches []watch.Interface
	var listed []func() map[string]string
	for _, media := range mediaTypes {
		for _, selector := range []string{"", "even=true"} {
			maps := clients(t, url, media).CoreV1().ConfigMaps("default")
			w, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: "1", LabelSelector: selector})
			require.NoError(t, err)
			watches = append(watches, w)
			listed = append(listed, func() map[string]string {
				l, err := maps.List(ctx, metav1.ListOptions{LabelSelector: selector})
				require.NoError(t, err)
				state := map[string]string{}
				for _, m := range l.Items {
					state[m.Name] = m.ResourceVersion
				}
				return state
			})
		}
	}
	var wg sync.WaitGroup
	client := clients(t, url, "application/json")
	for worker := range 8 {
		wg.Go(func() { scribble(t, ctx, client, rand.New(rand.NewPCG(seed, uint64(worker)))) })
	}
	wg.Wait()
	last, err := client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "last", Labels: map[string]string{"even": "true"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	for i, w := range watches {
		state := map[string]string{}
		for e := range w.ResultChan() {
			m, ok := e.Object.(*corev1.ConfigMap)
			require.True(t, ok, "%v", e)
			if e.Type == watch.Deleted {
				delete(state, m.Name)
			} else {
				state[m.Name] = m.ResourceVersion
			}
			if m.Name == last.Name {
				break
			}
		}
		require.True(t, maps.Equal(listed[i](), state), "watch %d: %v, listed %v", i, state, listed[i]())
	}
}

// scribble creates, patches and deletes a few objects over and over.
func scribble(t *testing.T, ctx context.Context, client kubernetes.Interface, r *rand.Rand) {
	api := client.CoreV1().ConfigMaps("default")
	for n := range 150 {
		name := fmt.Sprintf("m-%d", r.IntN(20))
		even := fmt.Sprint(r.IntN(2) == 0)
		var err error
		switch r.IntN(3) {
		case 0:
			_, err = api.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"even": even}}}, metav1.CreateOptions{})
		case 1:
			patch := fmt.Sprintf(`{"metadata":{"labels":{"even":%q}},"data":{"n":"%d"}}`, even, n)
			_, err = api.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		case 2:
			err = api.Delete(ctx, name, metav1.DeleteOptions{})
		}
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) {
			t.Errorf("%s: %v", name, err)
			return
		}
	}
}
