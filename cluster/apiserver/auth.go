package apiserver

import (
	"context"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// User is who makes a request.
type User struct {
	Name   string
	UID    string
	Groups []string
	Extra  map[string][]string
}

// Authenticate finds the user of a request. An error is answered with a 401, unless
// it is an *errors.StatusError of apimachinery, which is the answer.
type Authenticate func(*http.Request) (User, error)

// Admit refuses what a user may not write though he may write such objects: it sees
// the final state of the object, and the stored one, nil of a create. It is called
// on the cluster's goroutine and must not keep or change either; an error should be
// an *errors.StatusError of apimachinery.
type Admit func(ctx context.Context, u User, r api.Request, stored kinds.Object) error

// Attributes are what a decision to let a request pass may look at.
type Attributes struct {
	User        User
	Verb        string // of the API ("list") for a resource, else of HTTP in lower case ("get")
	Resource    schema.GroupVersionResource
	Subresource string
	Namespace   string
	Name        string
	Path        string // of the URL
	IsResource  bool   // false: only Verb and Path say anything
}

// Authorize says whether a request may pass, and why or why not.
type Authorize func(context.Context, Attributes) (allowed bool, reason string)

func anonymous(*http.Request) (User, error) {
	return User{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}}, nil
}

func alwaysAllow(context.Context, Attributes) (bool, string) { return true, "" }

// Virtual is a resource, or a subresource, that is created but never stored: an
// access review, a token.
type Virtual struct {
	Resource    schema.GroupVersionResource // as in the path
	Subresource string                      // "token" of serviceaccounts; may be empty
	Kind        schema.GroupVersionKind     // of body and answer; a type of the scheme
	Namespaced  bool
	// Create answers; an error should be an *errors.StatusError of apimachinery.
	Create func(context.Context, VirtualRequest) (runtime.Object, error)
}

// VirtualRequest is what the creator of a Virtual sent.
type VirtualRequest struct {
	User      User
	Namespace string
	Name      string // of the parent, for a subresource
	Object    runtime.Object
	DryRun    bool
}

// unauthorized is the answer to whom Authenticate does not know.
func unauthorized(err error) error {
	var known apierrors.APIStatus
	if errors.As(err, &known) {
		return err
	}
	return apierrors.NewUnauthorized("Unauthorized")
}

// authorize asks whether the user may do something with what the path names.
func (c *call) authorize(verb string) error {
	a := Attributes{User: c.user, Verb: verb, Namespace: c.namespace, Name: c.name, Path: c.r.URL.Path}
	if c.res != nil {
		a.IsResource, a.Resource, a.Subresource = true, c.res.gvr, c.sub
	}
	ok, reason := c.s.cfg.Authorize(c.r.Context(), a)
	if ok {
		return nil
	}
	return forbidden(a, reason)
}

// forbidden words a refusal as Kubernetes does.
func forbidden(a Attributes, reason string) error {
	who := `User "` + a.User.Name + `"`
	text := who + " cannot " + a.Verb
	if !a.IsResource {
		text += ` path "` + a.Path + `"`
		if reason != "" {
			text += ": " + reason
		}
		err := apierrors.NewForbidden(schema.GroupResource{}, "", errors.New(text))
		err.ErrStatus.Message = "forbidden: " + text
		return err
	}
	resource := a.Resource.Resource
	if a.Subresource != "" {
		resource += "/" + a.Subresource
	}
	text += ` resource "` + resource + `" in API group "` + a.Resource.Group + `"`
	if a.Namespace != "" {
		text += ` in the namespace "` + a.Namespace + `"`
	} else {
		text += " at the cluster scope"
	}
	if reason != "" {
		text += ": " + reason
	}
	return apierrors.NewForbidden(a.Resource.GroupResource(), a.Name, errors.New(text))
}
