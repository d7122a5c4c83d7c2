package apiserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/audit"
	"seatrial.dev/seatrial/cluster/kinds"
)

// Caller is who makes a request.
type Caller struct {
	User auth.User
	// Sender is whose credentials the request carries, where that is another than the
	// user it acts as (impersonation); else nil.
	Sender *auth.User
}

// Authenticate finds who makes a request. An error that is a Status is answered as it
// is, such as a refusal to impersonate; any other with a 401 that does not say why,
// which is for the audit log alone. Of the caller of a failed request that may be said
// which is known.
type Authenticate func(*http.Request) (Caller, error)

// Authorize says whether a request may pass: nil, or the Status that is answered
// (auth.Check). The reason, of either, is for the audit log and may be empty. It is
// called on the request's goroutine or, for an apply that creates, on the cluster's.
type Authorize func(context.Context, *auth.Attributes) (reason string, err error)

// Admit refuses what a user may not write though he may write such objects: it sees
// the final state of the object, and the stored one, nil of a create. It is called
// on the cluster's goroutine and must not keep or change either; an error should be
// an *errors.StatusError of apimachinery.
type Admit func(u *auth.User, r *api.Request, stored kinds.Object) error

func anonymous(*http.Request) (Caller, error) {
	return Caller{User: auth.User{Name: auth.Anonymous, Groups: []string{auth.Unauthenticated}}}, nil
}

func alwaysAllow(context.Context, *auth.Attributes) (string, error) { return "", nil }

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
	caller, err := c.s.cfg.Authenticate(c.r)
	c.user, c.sender = caller.User, caller.Sender
	if err == nil {
		return nil
	}
	c.reason = err.Error()
	var known apierrors.APIStatus
	if errors.As(err, &known) {
		if apierrors.IsForbidden(err) { // to act as another
			c.decision = "forbid"
		}
		return err
	}
	return auth.Unauthorized()
}

// authorize asks whether the user may.
func (c *call) authorize() error { return c.ask(c.describe()) }

// authorizeAlso asks whether the user may do something else with what the path names.
func (c *call) authorizeAlso(verb string) error {
	a := c.describe()
	a.Verb = verb
	return c.ask(a)
}

func (c *call) ask(a *auth.Attributes) error {
	reason, err := c.s.cfg.Authorize(c.r.Context(), a)
	if c.attributes == nil || err != nil { // of two questions the refusal counts
		c.attributes, c.reason, c.decision = a, reason, "allow"
	}
	if err != nil {
		c.decision = "forbid"
	}
	return err
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
			if name, ok := sel.RequiresExactMatch("metadata.name"); ok && a.Name == "" && c.verb != "deletecollection" {
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
	r := &audit.Record{ID: c.w.Header().Get("Audit-ID"), Received: received, Done: time.Now(), URI: c.r.URL.RequestURI(),
		Agent: c.r.UserAgent(), Code: c.code, Message: c.message, Decision: c.decision, Reason: c.reason}
	a := auth.Attributes{User: c.user, Verb: strings.ToLower(c.r.Method), Path: c.r.URL.Path}
	if c.attributes != nil {
		a = *c.attributes
	}
	if c.sender != nil {
		r.As = &c.user
		a.User = *c.sender
	}
	if c.code == http.StatusUnauthorized {
		r.Message = c.reason
	}
	r.Attributes = &a
	if host, _, err := net.SplitHostPort(c.r.RemoteAddr); err == nil {
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
