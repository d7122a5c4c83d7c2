package identity

import (
	"context"
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/bootstraptoken"
	"seatrial.dev/seatrial/cluster/auth/satoken"
)

// request is what becomes known of one request while it is served. It belongs to
// whoever works on the request.
type request struct {
	r        *http.Request
	id       string
	received time.Time
	sender   auth.User
	as       *auth.User       // nil: the sender
	asked    *auth.Attributes // nil until a decision
	allowed  bool
	reason   string // of the decision, or why the sender is not known
}

type requestKey struct{}

// requestOf finds what Handler has put there.
func requestOf(ctx context.Context) *request {
	q, _ := ctx.Value(requestKey{}).(*request)
	if q == nil {
		panic("identity: a server that asks an Identity does not stand behind its Handler")
	}
	return q
}

// authenticate is the server's Authenticate.
func (i *Identity) authenticate(r *http.Request) (apiserver.User, error) {
	q := requestOf(r.Context())
	c := &auth.Credentials{Bearer: bearerOf(r.Header.Get("Authorization"))}
	if r.TLS != nil {
		c.Certificates = r.TLS.PeerCertificates
	}
	front, cluster := i.front(r.Context())
	id, err := front.Identify(i.cfg.Now(), c)
	switch {
	case cluster.failed != nil:
		return apiserver.User{}, unavailable(cluster.failed)
	case err != nil:
		q.reason = err.Error()
		return apiserver.User{}, auth.Unauthorized()
	}
	q.sender = id.User
	user, other, err := auth.Impersonate(locked{i}, id.User, r.Header)
	if err != nil {
		q.reason = err.Error()
		return apiserver.User{}, err
	}
	if other {
		q.as = &user
	}
	return apiserver.User(user), nil
}

// bearerOf is the token of a header "Bearer TOKEN"; "" of any other.
func bearerOf(header string) string {
	scheme, token, _ := strings.Cut(strings.TrimSpace(header), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	token, _, _ = strings.Cut(strings.TrimSpace(token), " ")
	return token
}

// front is all of authentication for one request.
func (i *Identity) front(ctx context.Context) (*auth.Front, *byCluster) {
	c := &byCluster{i: i, ctx: ctx}
	of := append(make([]auth.Authenticator, 0, len(i.always)+1), i.always...)
	return &auth.Front{Of: append(of, c), Anonymous: i.cfg.Anonymous}, c
}

// byCluster knows the tokens that the cluster issues, at its present time and on its
// own goroutine. It serves one request.
type byCluster struct {
	i      *Identity
	ctx    context.Context
	failed error // the cluster could not be asked
}

// Authenticate implements auth.Authenticator; the wall's clock is not looked at.
func (b *byCluster) Authenticate(_ time.Time, c *auth.Credentials) (id auth.Identity, ok bool, err error) {
	if c.Bearer == "" {
		return auth.Identity{}, false, nil
	}
	b.failed = b.i.cluster.Do(b.ctx, func(now time.Time, a *api.API) {
		get := a.Store().Get
		for _, z := range []auth.Authenticator{bootstraptoken.New(get), satoken.NewAuthenticator(b.i.issuer, get)} {
			if id, ok, err = z.Authenticate(now, c); ok || err != nil {
				return
			}
		}
	})
	return id, ok, err
}

// authorize is the server's Authorize.
func (i *Identity) authorize(ctx context.Context, in apiserver.Attributes) (bool, string) {
	q := requestOf(ctx)
	a := attributes(in, q.r)
	d, reason := locked{i}.Authorize(a)
	if q.asked == nil || d != auth.Allow { // a request may be asked about twice; the refusal counts
		q.asked, q.allowed, q.reason = a, d == auth.Allow, reason
	}
	return d == auth.Allow, reason
}

// selectorBytesMax is the longest selector that is read to authorize a request.
const selectorBytesMax = 64 << 10

// attributes are what the server knows of a request and what its parameters add: a
// list of one name is a request for that name.
func attributes(in apiserver.Attributes, r *http.Request) *auth.Attributes {
	a := &auth.Attributes{User: auth.User(in.User), Verb: in.Verb, Path: in.Path}
	if !in.IsResource {
		return a
	}
	a.ResourceRequest = true
	a.APIGroup, a.APIVersion, a.Resource, a.Subresource = in.Resource.Group, in.Resource.Version, in.Resource.Resource, in.Subresource
	a.Namespace, a.Name = in.Namespace, in.Name
	if in.Verb != "list" && in.Verb != "watch" && in.Verb != "deletecollection" {
		return a
	}
	query := r.URL.Query()
	if s := query.Get("fieldSelector"); s != "" && len(s) <= selectorBytesMax {
		if f, err := fields.ParseSelector(s); err == nil {
			a.Fields = f.Requirements()
			if name, ok := f.RequiresExactMatch("metadata.name"); ok && a.Name == "" && in.Verb != "deletecollection" {
				a.Name = name
			}
		}
	}
	if s := query.Get("labelSelector"); s != "" && len(s) <= selectorBytesMax {
		if l, err := labels.Parse(s); err == nil {
			a.Labels, _ = l.Requirements()
		}
	}
	return a
}
