package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// Do carries out a write and answers the object as it is stored now; nil where the API
// answers with something else.
func (c *Client) Do(ctx context.Context, r api.Request) (kinds.Object, error) {
	path := objectPath(r.Ref)
	if r.Subresource != "" {
		path += "/" + r.Subresource
	}
	switch {
	case r.Subresource == api.SubBinding:
		return nil, c.Call(ctx, http.MethodPost, path+dry(r), "", &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: r.Ref.Namespace, Name: r.Ref.Name, UID: r.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: r.Node},
		}, nil)
	case r.Subresource == api.SubEviction:
		return nil, c.Call(ctx, http.MethodPost, path+dry(r), "", &policyv1.Eviction{
			ObjectMeta:    metav1.ObjectMeta{Namespace: r.Ref.Namespace, Name: r.Ref.Name},
			DeleteOptions: deleteOptions(r),
		}, nil)
	case r.Subresource == api.SubScale:
		return nil, c.Call(ctx, http.MethodPut, path+dry(r), "", &autoscalingv1.Scale{
			TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v1", Kind: "Scale"},
			ObjectMeta: metav1.ObjectMeta{Namespace: r.Ref.Namespace, Name: r.Ref.Name, ResourceVersion: r.RV},
			Spec:       autoscalingv1.ScaleSpec{Replicas: int32(r.Replicas)},
		}, nil)
	}
	out := r.Ref.Kind.Info().New()
	var err error
	switch r.Verb {
	case api.VerbCreate:
		err = c.Call(ctx, http.MethodPost, collectionPath(r.Ref.Kind, r.Ref.Namespace)+dry(r), "", kinds.WithType(r.Object), out)
	case api.VerbUpdate:
		if r.Subresource == api.SubStatus && r.RV == "" {
			return c.patchStatus(ctx, r)
		}
		err = c.Call(ctx, http.MethodPut, path+dry(r), "", updateBody(r), out)
	case api.VerbPatch:
		err = c.Call(ctx, http.MethodPatch, path+dry(r), string(r.PatchType), r.Patch, out)
	case api.VerbDelete:
		err = c.Call(ctx, http.MethodDelete, path, "", deleteOptions(r), nil)
		return nil, err
	default:
		return nil, fmt.Errorf("%s: no such verb", r)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// patchStatus replaces the status and nothing else. A PUT would put back the labels and
// annotations that the writer knew, over what others have changed since.
func (c *Client) patchStatus(ctx context.Context, r api.Request) (kinds.Object, error) {
	whole, err := runtime.DefaultUnstructuredConverter.ToUnstructured(r.Object)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	type op struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	ops := []op{{"add", "/status", whole["status"]}}
	if r.UID != "" {
		ops = append(ops, op{"add", "/metadata/uid", r.UID}) // a precondition
	}
	body, err := json.Marshal(ops)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	p := api.Patch(r.Ref, types.JSONPatchType, body)
	p.Subresource, p.DryRun = api.SubStatus, r.DryRun
	return c.Do(ctx, p)
}

// updateBody is the object with the preconditions of the request, whatever it carries
// itself.
func updateBody(r api.Request) kinds.Object {
	o := kinds.WithType(r.Object)
	o.SetUID(r.UID)
	o.SetResourceVersion(r.RV)
	return o
}

func dry(r api.Request) string {
	if r.DryRun {
		return "?dryRun=All"
	}
	return ""
}

func deleteOptions(r api.Request) *metav1.DeleteOptions {
	o := &metav1.DeleteOptions{}
	if r.Grace != api.GraceDefault {
		o.GracePeriodSeconds = &r.Grace
	}
	if r.UID != "" || r.RV != "" {
		o.Preconditions = &metav1.Preconditions{}
		if r.UID != "" {
			o.Preconditions.UID = &r.UID
		}
		if r.RV != "" {
			o.Preconditions.ResourceVersion = &r.RV
		}
	}
	if r.Propagation != "" {
		o.PropagationPolicy = &r.Propagation
	}
	if r.DryRun {
		o.DryRun = []string{metav1.DryRunAll}
	}
	return o
}

// Token asks for a token of a service account, bound to a pod.
func (c *Client) Token(ctx context.Context, account kinds.Key, audiences []string, seconds int64, pod kinds.Key, uid types.UID) (*authenticationv1.TokenRequest, error) {
	ask := &authenticationv1.TokenRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"},
		Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: &seconds,
			BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: uid}},
	}
	out := &authenticationv1.TokenRequest{}
	err := c.Call(ctx, http.MethodPost, objectPath(kinds.Ref{Kind: kinds.ServiceAccount, Key: account})+"/token", "", ask, out)
	return out, err
}
