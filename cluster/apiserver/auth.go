package apiserver

import (
	"context"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/audit"
)

// Authenticate finds the user of a request. An error that is a Status is answered as
// it is, such as a refusal to impersonate; any other with a 401 that does not say why.
type Authenticate func(*http.Request) (auth.User, error)

// Authorize says whether a request may pass: nil, or the Status that is answered
// (auth.Check). It is called on the request's goroutine; a decision that reads the
// cluster's objects must go to the cluster's.
type Authorize func(context.Context, *auth.Attributes) error

func anonymous(*http.Request) (auth.User, error) {
	return auth.User{Name: auth.Anonymous, Groups: []string{auth.Unauthenticated}}, nil
}

func alwaysAllow(context.Context, *auth.Attributes) error { return nil }

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
	User      auth.User
	Namespace string
	Name      string         // of the parent, for a subresource
	Object    runtime.Object // the body, the callee's own
	DryRun    bool
}

// authenticate finds out who asks.
func (c *call) authenticate() error {
	user, err := c.s.cfg.Authenticate(c.r)
	if err == nil {
		c.user = user
		return nil
	}
	if _, known := err.(apierrors.APIStatus); known {
		return err
	}
	return auth.Unauthorized()
}

// authorize asks whether the user may.
func (c *call) authorize() error {
	c.attributes = c.describe()
	return c.s.cfg.Authorize(c.r.Context(), c.attributes)
}

// describe is what a decision may know of the request.
func (c *call) describe() *auth.Attributes {
	a := &auth.Attributes{User: c.user, Verb: c.verb, Path: c.r.URL.Path}
	if c.res == nil {
		return a
	}
	a.ResourceRequest, a.Path = true, ""
	a.APIGroup, a.APIVersion, a.Resource, a.Subresource = c.res.gvr.Group, c.res.gvr.Version, c.res.gvr.Resource, c.sub
	a.Namespace, a.Name = c.namespace, c.name
	switch c.verb {
	case "list", "watch", "deletecollection": // a selector that cannot be read is refused later
		if sel, err := labels.Parse(c.query.Get("labelSelector")); err == nil {
			a.Labels, _ = sel.Requirements()
		}
		if sel, err := fields.ParseSelector(c.query.Get("fieldSelector")); err == nil {
			a.Fields = sel.Requirements()
			if name, ok := sel.RequiresExactMatch("metadata.name"); ok && a.Name == "" {
				a.Name = name
			}
		}
	}
	return a
}

// audit writes the request down when it has been answered.
func (c *call) audit(received time.Time) {
	if c.s.cfg.Audit == nil {
		return
	}
	r := &audit.Record{ID: c.w.Header().Get("Audit-ID"), Received: received, Done: time.Now(), Attributes: c.attributes, URI: c.r.URL.RequestURI(),
		Agent: c.r.UserAgent(), Code: c.code, Message: c.message, Decision: "allow"}
	if r.Attributes == nil {
		r.Attributes = &auth.Attributes{User: c.user, Verb: strings.ToLower(c.r.Method), Path: c.r.URL.Path}
	}
	if c.code == http.StatusForbidden || c.code == http.StatusUnauthorized {
		r.Decision = "forbid"
	}
	host, _, ok := strings.Cut(c.r.RemoteAddr, ":")
	if ok && host != "" {
		r.Sources = []string{host}
	}
	c.s.cfg.Audit(r)
}

// newAuditID names a request, in the answer and in the log.
func (c *call) newAuditID() {
	if c.s.cfg.Audit != nil {
		c.w.Header().Set("Audit-ID", string(uuid.NewUUID()))
	}
}
