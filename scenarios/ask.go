package scenarios

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
)

// Ask makes one write of a step from the state of the cluster at the time it is sent,
// with kubectl's manners. An empty request (Verb 0) means that nothing is to be written;
// more is what to ask next, before what was to follow.
type Ask func(s *store.Store) (r api.Request, more []Ask, err error)

// Asks are the writes of an action, one to be made after the other. An action that is
// done to hosts or links instead has none.
func Asks(a Action) []Ask {
	switch a := a.(type) {
	case Apply:
		list := make([]Ask, len(a.Objects))
		for i, o := range a.Objects {
			list[i] = func(s *store.Store) (api.Request, []Ask, error) {
				r, err := api.Apply(s.Get(kinds.RefOf(o)), o)
				return r, nil, err
			}
		}
		return list
	case Delete:
		r := api.Delete(a.Ref, "")
		r.Propagation, r.Grace = a.Propagation, a.Grace
		return []Ask{fixed(r)}
	case Patch:
		return []Ask{fixed(api.Patch(a.Ref, a.Type, a.Body))}
	case Scale:
		return []Ask{fixed(api.Scale(a.Ref, a.Replicas))}
	case SetImage:
		return []Ask{func(s *store.Store) (api.Request, []Ask, error) {
			r, err := api.SetImage(s.Get(a.Ref), a.Ref, a.Container, a.Image)
			return r, nil, err
		}}
	case Cordon:
		return []Ask{fixed(cordon(a.Node, !a.Undo))}
	case Drain:
		return []Ask{fixed(cordon(a.Node, true)), a.evictions}
	}
	return nil
}

func fixed(r api.Request) Ask {
	return func(*store.Store) (api.Request, []Ask, error) { return r, nil, nil }
}

func cordon(node string, unschedulable bool) api.Request {
	body, err := json.Marshal(map[string]any{"spec": map[string]any{"unschedulable": unschedulable}})
	if err != nil {
		panic(err) // a map of booleans
	}
	return api.Patch(kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: node}}, types.StrategicMergePatchType, body)
}

// evictions are one for each pod of the node; pods of DaemonSets stay.
func (a Drain) evictions(s *store.Store) (none api.Request, list []Ask, err error) {
	for o := range s.List(kinds.Pod, "") {
		pod := o.(*corev1.Pod)
		if pod.Spec.NodeName != a.Node || pod.Annotations[corev1.MirrorPodAnnotationKey] != "" {
			continue
		}
		if c := metav1.GetControllerOfNoCopy(pod); c != nil && c.Kind == kinds.DaemonSet.String() {
			if !a.IgnoreDaemonSets {
				return none, nil, fmt.Errorf("cannot delete DaemonSet-managed Pods (use ignoreDaemonSets: true): %s", kinds.KeyOf(pod))
			}
			if !view.Finished(pod) {
				continue
			}
		}
		r := api.Evict(kinds.KeyOf(pod), pod.UID)
		r.Grace = a.Grace
		list = append(list, fixed(r))
	}
	return none, list, nil
}

// Outcome is what the answer to a step's write means.
type Outcome uint8

// The outcomes.
const (
	Done   Outcome = iota // go on
	Again                 // the same, after a moment: somebody else wrote in between
	Wait                  // the same, after longer: a disruption budget allows no eviction now
	Failed                // the step failed; what is left of it goes on
)

// Answered says what to do after a step's write.
func Answered(r api.Request, err error) Outcome {
	evicting := r.Subresource == api.SubEviction
	switch {
	case err == nil, evicting && (apierrors.IsNotFound(err) || apierrors.IsConflict(err)):
		return Done
	case evicting && apierrors.IsTooManyRequests(err):
		return Wait
	case apierrors.IsConflict(err):
		return Again
	}
	return Failed
}
