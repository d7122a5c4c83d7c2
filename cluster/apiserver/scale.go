package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

var scaleKind = autoscalingv1.SchemeGroupVersion.WithKind("Scale")

// scaleOf is the scale of a workload, with a pointer to the replicas it asks for.
func scaleOf(o kinds.Object) (*autoscalingv1.Scale, **int32, error) {
	s := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID(),
		ResourceVersion: o.GetResourceVersion(), CreationTimestamp: o.GetCreationTimestamp()}}
	s.SetGroupVersionKind(scaleKind)
	var want **int32
	var sel *metav1.LabelSelector
	switch t := o.(type) {
	case *appsv1.Deployment:
		want, sel, s.Status.Replicas = &t.Spec.Replicas, t.Spec.Selector, t.Status.Replicas
	case *appsv1.ReplicaSet:
		want, sel, s.Status.Replicas = &t.Spec.Replicas, t.Spec.Selector, t.Status.Replicas
	case *appsv1.StatefulSet:
		want, sel, s.Status.Replicas = &t.Spec.Replicas, t.Spec.Selector, t.Status.Replicas
	case *corev1.ReplicationController:
		want, s.Status.Replicas = &t.Spec.Replicas, t.Status.Replicas
		s.Status.Selector = labels.Set(t.Spec.Selector).String()
	default:
		return nil, nil, fmt.Errorf("a %T has no scale", o)
	}
	if *want != nil {
		s.Spec.Replicas = **want
	}
	if sel != nil {
		parsed, err := metav1.LabelSelectorAsSelector(sel)
		if err != nil {
			return nil, nil, err
		}
		s.Status.Selector = parsed.String()
	}
	return s, want, nil
}

// scale reads or writes the scale of a workload. A server-side apply is taken for a
// merge patch: the one field there is has one owner, whoever wrote last.
func (c *call) scale() error {
	turn, opts, err := c.scaleChange()
	if err != nil {
		return err
	}
	find := func(a *api.API) (kinds.Object, error) { return a.Get(c.ref()) }
	var is kinds.Object
	if turn == nil {
		derr := c.do(func(_ time.Time, a *api.API) { is, err = find(a) })
		err = firstOf(derr, err)
	} else {
		var want *autoscalingv1.Scale
		is, err = c.change(0, change{
			find: find,
			work: func(live kinds.Object) (kinds.Object, error) {
				now, _, err := scaleOf(live)
				if err != nil {
					return nil, err
				}
				if want, err = turn(now); err != nil {
					return nil, err
				}
				return c.scaled(live, want, opts)
			},
			write: func(now time.Time, a *api.API, live, o kinds.Object) (kinds.Object, error) {
				c.s.owners.stamp(o, live, now)
				r := api.Update(o)
				r.RV, r.UID, r.DryRun = want.ResourceVersion, want.UID, opts.dryRun
				return c.write(now, a, r)
			},
		})
	}
	if err != nil {
		return err
	}
	answer, _, err := scaleOf(is)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, answer)
}

// scaled is a workload with the replicas asked for.
func (c *call) scaled(live kinds.Object, want *autoscalingv1.Scale, opts writeOptions) (kinds.Object, error) {
	if n := want.Spec.Replicas; n < 0 {
		return nil, apierrors.NewInvalid(scaleKind.GroupKind(), c.name, field.ErrorList{
			field.Invalid(field.NewPath("spec", "replicas"), n, "must be greater than or equal to 0").WithOrigin("minimum")})
	}
	o := kinds.Clone(live)
	_, at, err := scaleOf(o)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	*at = &want.Spec.Replicas
	c.s.owners.updated(live, o, api.SubScale, opts.manager)
	return o, nil
}

// scaleChange makes of the body a function that turns the present scale into the
// one wanted; nil for a mere read.
func (c *call) scaleChange() (func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error), writeOptions, error) {
	switch c.verb {
	case "update":
		opts, err := c.writeOptions("UpdateOptions")
		if err != nil {
			return nil, opts, err
		}
		body, err := c.readBody()
		if err != nil {
			return nil, opts, err
		}
		o, err := c.decode(body, scaleKind)
		if err != nil {
			return nil, opts, err
		}
		s := o.(*autoscalingv1.Scale)
		return func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error) { return s, nil }, opts, c.checkName(s)
	case "patch":
		return c.scalePatch()
	}
	return nil, writeOptions{}, nil
}

func (c *call) scalePatch() (func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error), writeOptions, error) {
	t, body, err := c.readPatch()
	if err != nil {
		return nil, writeOptions{}, err
	}
	opts, err := c.writeOptions("PatchOptions")
	if err == nil {
		err = c.checkPatchOptions(t, &opts)
	}
	if err != nil {
		return nil, opts, err
	}
	if t == types.ApplyYAMLPatchType {
		t = types.MergePatchType
	}
	return func(s *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		before, err := json.Marshal(s)
		if err != nil {
			return nil, apierrors.NewInternalError(err)
		}
		after, err := api.Patched(c.ref(), t, before, body, &autoscalingv1.Scale{})
		if err != nil {
			return nil, err
		}
		o, err := c.decodeJSON(after, scaleKind)
		if err != nil {
			return nil, asUnprocessable(err, c.res, c.name)
		}
		return o.(*autoscalingv1.Scale), c.checkName(o.(*autoscalingv1.Scale))
	}, opts, nil
}
