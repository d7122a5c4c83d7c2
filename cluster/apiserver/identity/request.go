package identity

import (
	"context"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/bootstraptoken"
	"seatrial.dev/seatrial/cluster/auth/noderestriction"
	"seatrial.dev/seatrial/cluster/kinds"
)

// authenticate is the server's Authenticate.
func (i *Identity) authenticate(r *http.Request) (apiserver.Caller, error) {
	c := &auth.Credentials{Bearer: bearerOf(r.Header.Get("Authorization"))}
	if r.TLS != nil {
		c.Certificates = r.TLS.PeerCertificates
	}
	cluster := &asked{i: i, ctx: r.Context()}
	front := auth.Front{Of: append(i.always[:len(i.always):len(i.always)], cluster), Anonymous: i.cfg.Anonymous}
	id, err := front.Identify(i.cfg.Now(), c)
	switch {
	case cluster.failed != nil:
		return apiserver.Caller{}, unavailable(cluster.failed)
	case err != nil:
		return apiserver.Caller{}, err
	}
	user, other, err := auth.Impersonate(locked{i}, id.User, r.Header)
	if err != nil {
		return apiserver.Caller{User: id.User}, err
	}
	if other {
		return apiserver.Caller{User: user, Sender: &id.User}, nil
	}
	return apiserver.Caller{User: user}, nil
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

// asked asks the cluster about the tokens that it issues, at its present time and on
// its own goroutine. It serves one request.
type asked struct {
	i      *Identity
	ctx    context.Context
	failed error // the cluster could not be asked
}

// Authenticate implements auth.Authenticator; the wall's clock is not looked at. Whether
// a token is signed is found out before the cluster is asked.
func (a *asked) Authenticate(_ time.Time, c *auth.Credentials) (id auth.Identity, ok bool, err error) {
	token, signed, err := a.i.accounts.Verify(c)
	switch {
	case err != nil:
		return auth.Identity{}, false, err
	case signed:
		a.failed = a.i.cluster.Do(a.ctx, func(now time.Time, _ *api.API) {
			id, err = a.i.accounts.Known(now, token)
			ok = err == nil
		})
	case bootstraptoken.HasForm(c.Bearer):
		a.failed = a.i.cluster.Do(a.ctx, func(now time.Time, _ *api.API) {
			id, ok, err = a.i.joining.Authenticate(now, c)
		})
	}
	return id, ok, err
}

// authorize is the server's Authorize.
func (i *Identity) authorize(_ context.Context, a *auth.Attributes) (string, error) {
	d, reason := locked{i}.Authorize(a)
	if d != auth.Allow {
		return reason, auth.Forbidden(a, reason)
	}
	return reason, nil
}

// locked is the chain of authorizers, for whoever holds no lock.
type locked struct{ i *Identity }

// Authorize implements auth.Authorizer.
func (l locked) Authorize(a *auth.Attributes) (auth.Decision, string) {
	l.i.mu.RLock()
	defer l.i.mu.RUnlock()
	return l.i.chain.Authorize(a)
}

// Rules implements auth.RuleLister.
func (l locked) Rules(u *auth.User, namespace string) auth.Rules {
	l.i.mu.RLock()
	defer l.i.mu.RUnlock()
	return l.i.chain.Rules(u, namespace)
}

// admit keeps users from granting what they do not have, and nodes to what is theirs.
func (i *Identity) admit(u *auth.User, r *api.Request, stored kinds.Object) error {
	if i.view != nil {
		if err := noderestriction.CheckWrite(u, r, stored); err != nil {
			return err
		}
	}
	if i.index == nil || r.Object == nil || r.Subresource != "" {
		return nil
	}
	switch r.Ref.Kind {
	case kinds.Role, kinds.ClusterRole, kinds.RoleBinding, kinds.ClusterRoleBinding:
	default:
		return nil
	}
	o := kinds.Clone(r.Object)
	kinds.Default(o)
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.index.CheckEscalation(i.chain, u, o, stored)
}

// unavailable says that the cluster could not be asked.
func unavailable(err error) error { return apierrors.NewServiceUnavailable(err.Error()) }
