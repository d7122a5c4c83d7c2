package api

import (
	"encoding/json"
	"fmt"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"seatrial.dev/seatrial/cluster/kinds"
)

// patch applies a JSON, merge or strategic merge patch to an object and stores
// the result as an update.
func (a *API) patch(now time.Time, r Request) (kinds.Object, error) {
	old, err := a.find(r)
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(old)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	after, err := Patched(r.Ref, r.PatchType, before, r.Patch, r.Ref.Kind.Info().New())
	if err != nil {
		return nil, err
	}
	o := r.Ref.Kind.Info().New()
	if err := json.Unmarshal(after, o); err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the patched object does not decode: %v", err))
	}
	if kinds.KeyOf(o) != r.Ref.Key {
		return nil, apierrors.NewBadRequest("a patch may not change the name or namespace of an object")
	}
	o.GetObjectKind().SetGroupVersionKind(old.GetObjectKind().GroupVersionKind())
	r.Verb, r.Object = VerbUpdate, o
	return a.update(now, r)
}

// Patched applies a JSON, merge or strategic merge patch to the JSON of an object.
// schema is an empty value of the object's Go type, which says how a strategic merge
// treats lists. The error is an *errors.StatusError.
func Patched(ref kinds.Ref, t types.PatchType, before, patch []byte, schema any) ([]byte, error) {
	switch t {
	case types.JSONPatchType:
		p, err := jsonpatch.DecodePatch(patch)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		after, err := p.Apply(before)
		if err != nil {
			return nil, apierrors.NewGenericServerResponse(422, "patch", resource(ref.Kind), ref.Name, err.Error(), 0, false)
		}
		return after, nil
	case types.MergePatchType:
		after, err := jsonpatch.MergePatch(before, patch)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		return after, nil
	case types.StrategicMergePatchType:
		after, err := strategicpatch.StrategicMergePatch(before, patch, schema)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		return after, nil
	}
	return nil, apierrors.NewGenericServerResponse(415, "patch", resource(ref.Kind), ref.Name, "the body of the request was in an unknown format: "+string(t), 0, false)
}

// scale sets the replicas of a workload, as the scale subresource does.
func (a *API) scale(now time.Time, r Request) (kinds.Object, error) {
	old, err := a.find(r)
	if err != nil {
		return nil, err
	}
	if r.Replicas < 0 {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("replicas %d: must be 0 or more", r.Replicas))
	}
	o := shallow(old)
	switch t := o.(type) {
	case *corev1.ReplicationController:
		t.Spec.Replicas = &r.Replicas
	case *appsv1.Deployment:
		t.Spec.Replicas = &r.Replicas
	case *appsv1.ReplicaSet:
		t.Spec.Replicas = &r.Replicas
	case *appsv1.StatefulSet:
		t.Spec.Replicas = &r.Replicas
	default:
		return nil, apierrors.NewMethodNotSupported(resource(r.Ref.Kind), "scale")
	}
	r.Object, r.Subresource = o, ""
	return a.updateObject(now, r, old)
}
