package api

import (
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"seatrial.dev/seatrial/cluster/kinds"
)

// Apply makes the write that brings a live object (nil if there is none) to a
// manifest, as kubectl apply does on the client: fields that an earlier manifest
// set and this one does not are removed, fields that others set stay. A Request
// without a verb means that nothing is to be done.
// (kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config)
func Apply(live, manifest kinds.Object) (Request, error) {
	ref := kinds.RefOf(manifest)
	modified, err := manifestJSON(manifest, "")
	if err != nil {
		return Request{}, err
	}
	annotated, err := manifestJSON(manifest, string(modified))
	if err != nil {
		return Request{}, err
	}
	if live == nil {
		o := kinds.Clone(manifest)
		setAnnotation(o, corev1.LastAppliedConfigAnnotation, string(modified)+"\n")
		return Create(o), nil
	}
	current, err := json.Marshal(live)
	if err != nil {
		return Request{}, fmt.Errorf("apply %s: %w", ref, err)
	}
	original := []byte(live.GetAnnotations()[corev1.LastAppliedConfigAnnotation])
	schema, err := strategicpatch.NewPatchMetaFromStruct(ref.Kind.Info().New())
	if err != nil {
		return Request{}, fmt.Errorf("apply %s: %w", ref, err)
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch(original, annotated, current, schema, true)
	if err != nil {
		return Request{}, fmt.Errorf("apply %s: %w", ref, err)
	}
	if string(patch) == "{}" {
		return Request{}, nil
	}
	return Patch(ref, types.StrategicMergePatchType, patch), nil
}

// manifestJSON is the manifest as a person wrote it: without the empty status and
// creation time that marshalling a Go type adds.
func manifestJSON(o kinds.Object, applied string) ([]byte, error) {
	o = kinds.WithType(o)
	if applied != "" {
		o = kinds.Clone(o)
		setAnnotation(o, corev1.LastAppliedConfigAnnotation, applied+"\n")
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("apply %s: %w", kinds.RefOf(o), err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("apply %s: %w", kinds.RefOf(o), err)
	}
	delete(m, "status")
	dropNulls(m)
	return json.Marshal(m) // maps are marshalled in the order of their keys
}

func dropNulls(m map[string]any) {
	for k, v := range m { //det:ok each key by itself
		switch v := v.(type) {
		case nil:
			delete(m, k)
		case map[string]any:
			dropNulls(v)
		case []any:
			for _, x := range v {
				if mm, ok := x.(map[string]any); ok {
					dropNulls(mm)
				}
			}
		}
	}
}

func setAnnotation(o kinds.Object, key, value string) {
	old := o.GetAnnotations()
	m := make(map[string]string, len(old)+1)
	for k, v := range old {
		m[k] = v
	}
	m[key] = value
	o.SetAnnotations(m)
}

// SetImage makes the write of kubectl set image: the image of one container of a
// workload's template, or of all for container "" or "*".
func SetImage(live kinds.Object, ref kinds.Ref, container, image string) (Request, error) {
	if live == nil {
		return Request{}, apierrors.NewNotFound(resource(ref.Kind), ref.Name)
	}
	o := kinds.Clone(live)
	spec := PodSpecOf(o)
	if spec == nil {
		return Request{}, fmt.Errorf("set image of %s: a %s has no containers", ref, ref.Kind)
	}
	found := false
	for _, list := range [2][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if c := &list[i]; container == "" || container == "*" || c.Name == container {
				c.Image, found = image, true
			}
		}
	}
	if !found {
		return Request{}, fmt.Errorf("set image of %s: no container %q; there are %q", ref, container, containerNames(spec))
	}
	return Update(o), nil
}

func containerNames(spec *corev1.PodSpec) []string {
	var names []string
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		names = append(names, c.Name)
	}
	return names
}

// PodSpecOf is the pod spec in an object: a pod's own or that of its template; nil
// for a kind without one.
func PodSpecOf(o kinds.Object) *corev1.PodSpec {
	switch t := o.(type) {
	case *corev1.Pod:
		return &t.Spec
	case *corev1.ReplicationController:
		if t.Spec.Template != nil {
			return &t.Spec.Template.Spec
		}
	case *corev1.PodTemplate:
		return &t.Template.Spec
	case *appsv1.Deployment:
		return &t.Spec.Template.Spec
	case *appsv1.ReplicaSet:
		return &t.Spec.Template.Spec
	case *appsv1.StatefulSet:
		return &t.Spec.Template.Spec
	case *appsv1.DaemonSet:
		return &t.Spec.Template.Spec
	case *batchv1.Job:
		return &t.Spec.Template.Spec
	case *batchv1.CronJob:
		return &t.Spec.JobTemplate.Spec.Template.Spec
	}
	return nil
}
