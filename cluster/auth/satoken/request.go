package satoken

import (
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/kinds"
)

// audiencesMax is how many audiences a token may have.
const audiencesMax = 64

func subjectOf(account kinds.Key) string {
	return auth.ServiceAccount(account.Namespace, account.Name).Name
}

// validate says what is wrong with a request by itself, as Kubernetes does.
func validate(r *authenticationv1.TokenRequest) error {
	var list field.ErrorList
	spec := field.NewPath("spec")
	at := spec.Child("expirationSeconds")
	switch s := *r.Spec.ExpirationSeconds; {
	case s < LifeMin:
		list = append(list, field.Invalid(at, s, "may not specify a duration less than 10 minutes"))
	case s > LifeMax:
		list = append(list, field.Invalid(at, s, "may not specify a duration larger than 2^32 seconds"))
	}
	if n := len(r.Spec.Audiences); n > audiencesMax {
		list = append(list, field.TooMany(spec.Child("audiences"), n, audiencesMax))
	}
	if len(list) == 0 {
		return nil
	}
	return apierrors.NewInvalid(authenticationv1.SchemeGroupVersion.WithKind("TokenRequest").GroupKind(), r.Name, list)
}

// bind finds the service account and what a token for it is to be bound to.
func bind(look Look, account kinds.Key, to *authenticationv1.BoundObjectReference) (*claims, error) {
	sa := look(kinds.Ref{Kind: kinds.ServiceAccount, Key: account})
	if sa == nil {
		return nil, notFound(kinds.ServiceAccount, account.Name)
	}
	c := &claims{Kubernetes: bound{Namespace: account.Namespace, ServiceAccount: *refOf(sa)}}
	if to == nil {
		return c, nil
	}
	kind, ok := kindsBound[to.Kind]
	if !ok || to.APIVersion != "v1" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to object of type %s, Kind=%s", account, to.APIVersion, to.Kind))
	}
	key := kinds.Key{Namespace: account.Namespace, Name: to.Name}
	if kind == kinds.Node {
		key.Namespace = ""
	}
	o := look(kinds.Ref{Kind: kind, Key: key})
	if o == nil {
		return nil, notFound(kind, to.Name)
	}
	if to.UID != "" && to.UID != o.GetUID() {
		return nil, apierrors.NewConflict(kind.Info().GVR().GroupResource(), to.Name, fmt.Errorf(
			"the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", to.UID))
	}
	switch kind {
	case kinds.Pod:
		return c, c.bindPod(look, account, o.(*corev1.Pod))
	case kinds.Secret:
		c.Kubernetes.Secret = refOf(o)
	case kinds.Node:
		c.Kubernetes.Node = refOf(o)
	}
	return c, nil
}

// bindPod also names the node that the pod is on.
func (c *claims) bindPod(look Look, account kinds.Key, pod *corev1.Pod) error {
	if pod.Spec.ServiceAccountName != account.Name {
		return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", account))
	}
	c.Kubernetes.Pod = refOf(pod)
	if pod.Spec.NodeName == "" {
		return nil
	}
	c.Kubernetes.Node = &ref{Name: pod.Spec.NodeName}
	if n := look(kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: pod.Spec.NodeName}}); n != nil {
		c.Kubernetes.Node = refOf(n)
	}
	return nil
}

func notFound(k kinds.Kind, name string) error {
	return apierrors.NewNotFound(k.Info().GVR().GroupResource(), name)
}
