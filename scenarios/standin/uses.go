package standin

import (
	"encoding/json"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/scenarios"
)

// use is a container that has an image at some time.
type use struct {
	pod       *corev1.PodSpec
	container *corev1.Container
	targets   []int32 // ports of it that services lead to, by number
}

// uses gathers the containers of a scenario by image.
type uses struct {
	byImage  map[string][]use
	services []*corev1.Service
	pods     map[kinds.Ref][]workload // what was applied under one name
}

// workload is an object with a pod in it.
type workload struct {
	spec      *corev1.PodSpec
	namespace string
	labels    map[string]string
}

func usesOf(scn *scenarios.Scenario) map[string][]use {
	u := &uses{byImage: map[string][]use{}, pods: map[kinds.Ref][]workload{}}
	objects := append([]kinds.Object(nil), scn.Objects...)
	for _, s := range scn.Steps {
		if a, ok := s.Action.(scenarios.Apply); ok {
			objects = append(objects, a.Objects...)
		}
	}
	for _, o := range objects {
		if s, ok := o.(*corev1.Service); ok {
			u.services = append(u.services, s)
		}
	}
	for _, o := range objects {
		u.object(o)
	}
	for _, s := range scn.Steps {
		switch a := s.Action.(type) {
		case scenarios.SetImage:
			u.change(a.Ref, a.Container, a.Image)
		case scenarios.Patch:
			u.patch(a)
		}
	}
	return u.byImage
}

func (u *uses) object(o kinds.Object) {
	spec := api.PodSpecOf(o)
	if spec == nil {
		return
	}
	ref := kinds.RefOf(o)
	w := workload{spec, ref.Namespace, podLabels(o)}
	u.pods[ref] = append(u.pods[ref], w)
	u.each(w, func(c *corev1.Container) string { return c.Image })
}

// each adds the containers of a workload under the images that image says; "" is none.
func (u *uses) each(w workload, image func(*corev1.Container) string) {
	for i := range w.spec.InitContainers {
		c := &w.spec.InitContainers[i]
		u.add(image(c), use{w.spec, c, nil})
	}
	for i := range w.spec.Containers {
		c := &w.spec.Containers[i]
		var targets []int32
		if i == 0 { // a service does not say whose port it leads to
			targets = u.targets(w)
		}
		u.add(image(c), use{w.spec, c, targets})
	}
}

func (u *uses) add(image string, one use) {
	if image != "" {
		u.byImage[image] = append(u.byImage[image], one)
	}
}

// change is an image given to a container of that name, or to all of them, later on.
func (u *uses) change(ref kinds.Ref, container, image string) {
	if len(u.pods[ref]) == 0 {
		u.add(image, use{&corev1.PodSpec{}, &corev1.Container{}, nil})
	}
	for _, w := range u.pods[ref] {
		u.each(w, func(c *corev1.Container) string {
			if container == "" || container == "*" || container == c.Name {
				return image
			}
			return ""
		})
	}
}

// patch finds the images that a patch gives to containers: in lists of containers, or as
// the value of an operation on a path that ends in image.
func (u *uses) patch(a scenarios.Patch) {
	if a.Type == types.JSONPatchType {
		var list []struct {
			Path  string `json:"path"`
			Value any    `json:"value"`
		}
		if json.Unmarshal(a.Body, &list) != nil {
			return // the API will say what is wrong
		}
		for _, op := range list {
			if image, ok := op.Value.(string); ok && strings.HasSuffix(op.Path, "/image") {
				u.change(a.Ref, "", image)
			} else {
				u.patched(a.Ref, op.Value)
			}
		}
		return
	}
	var body any
	if json.Unmarshal(a.Body, &body) == nil {
		u.patched(a.Ref, body)
	}
}

// patched looks for containers in a value of JSON.
func (u *uses) patched(ref kinds.Ref, v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			u.patched(ref, e)
		}
	case map[string]any:
		if image, ok := v["image"].(string); ok {
			name, _ := v["name"].(string)
			u.change(ref, name, image)
		}
		for _, key := range []string{"spec", "template", "jobTemplate", "containers", "initContainers"} {
			u.patched(ref, v[key])
		}
	}
}

// targets are the numbers of a workload's ports that services lead to. Those by name are
// among its containers' own.
func (u *uses) targets(w workload) (out []int32) {
	for _, s := range u.services {
		if s.Namespace != w.namespace || len(s.Spec.Selector) == 0 || !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(w.labels)) {
			continue
		}
		for _, p := range s.Spec.Ports {
			switch {
			case p.Protocol != "" && p.Protocol != corev1.ProtocolTCP:
			case p.TargetPort == intstr.IntOrString{}:
				out = append(out, p.Port)
			case p.TargetPort.Type == intstr.Int:
				out = append(out, p.TargetPort.IntVal)
			}
		}
	}
	return out
}

// podLabels are the labels of the pods that an object stands for.
func podLabels(o kinds.Object) map[string]string {
	switch t := o.(type) {
	case *corev1.Pod:
		return t.Labels
	case *corev1.ReplicationController:
		if t.Spec.Template != nil {
			return t.Spec.Template.Labels
		}
	case *appsv1.Deployment:
		return t.Spec.Template.Labels
	case *appsv1.ReplicaSet:
		return t.Spec.Template.Labels
	case *appsv1.StatefulSet:
		return t.Spec.Template.Labels
	case *appsv1.DaemonSet:
		return t.Spec.Template.Labels
	case *batchv1.Job:
		return t.Spec.Template.Labels
	case *batchv1.CronJob:
		return t.Spec.JobTemplate.Spec.Template.Labels
	}
	return nil
}
