package auth

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Unauthorized is the answer (401) to a request whose sender is not known. It does
// not say why: that helps whoever guesses.
func Unauthorized() *apierrors.StatusError { return apierrors.NewUnauthorized("Unauthorized") }

// Forbidden is the answer (403) to a request that nobody has allowed.
func Forbidden(a *Attributes, reason string) *apierrors.StatusError {
	text := a.refusal()
	if reason != "" {
		text += ": " + reason
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: a.APIGroup, Resource: a.Resource}, a.Name, errors.New(text))
}

// Check asks an authorizer and answers with Forbidden unless it allows.
func Check(az Authorizer, a *Attributes) error {
	if d, reason := az.Authorize(a); d != Allow {
		return Forbidden(a, reason)
	}
	return nil
}

// refusal is Kubernetes' sentence.
func (a *Attributes) refusal() string {
	if !a.ResourceRequest {
		return fmt.Sprintf("User %q cannot %s path %q", a.User.Name, a.Verb, a.Path)
	}
	resource := a.Resource
	if a.Subresource != "" {
		resource += "/" + a.Subresource
	}
	text := fmt.Sprintf("User %q cannot %s resource %q in API group %q", a.User.Name, a.Verb, resource, a.APIGroup)
	if a.Namespace == "" {
		return text + " at the cluster scope"
	}
	return fmt.Sprintf("%s in the namespace %q", text, a.Namespace)
}
