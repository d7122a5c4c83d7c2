package satoken

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/kinds"
)

// tokenBytesMax is the longest token that is looked at.
const tokenBytesMax = 64 << 10

// leeway is how far apart the clocks of servers may be.
const leeway = jwt.DefaultLeeway

// Keys under which a user's Extra tells what its token is bound to.
const (
	extraPodName  = "authentication.kubernetes.io/pod-name"
	extraPodUID   = "authentication.kubernetes.io/pod-uid"
	extraNodeName = "authentication.kubernetes.io/node-name"
	extraNodeUID  = "authentication.kubernetes.io/node-uid"
)

// Why a token is refused, beside what a format string says.
var (
	errExpired  = errors.New("service account token has expired")
	errEarly    = errors.New("service account token is not valid yet")
	errFuture   = errors.New("service account token is issued in the future")
	errNoExpiry = errors.New("service account token has no expiry")
	errKey      = errors.New("signature is by none of the cluster's keys")
	errSecret   = errors.New("service account token has been invalidated")
)

// Authenticator knows service accounts by their tokens. It is an
// auth.Authenticator that is never written to; it may be asked whenever look may.
type Authenticator struct {
	issuer    string
	audiences []string
	keys      []*Key
	look      Look
}

// NewAuthenticator checks what an issuer mints, against the objects that look
// finds.
func NewAuthenticator(i *Issuer, look Look) *Authenticator {
	return &Authenticator{i.cfg.URL, i.cfg.Audiences, i.keys, look}
}

// Authenticate passes over bearer tokens of another issuer or form.
func (a *Authenticator) Authenticate(now time.Time, c *auth.Credentials) (auth.Identity, bool, error) {
	v, ok, err := a.Verify(c)
	if !ok || err != nil {
		return auth.Identity{}, false, err
	}
	id, err := a.Known(now, v)
	return id, err == nil, err
}

// Verified is a token that one of the cluster's keys has signed, for an audience that was
// asked for.
type Verified struct {
	public   jwt.Claims
	private  bound
	intended []string
}

// Verify is the half of Authenticate that looks at no object and no clock, and costs the
// most: anyone may send tokens to be refused, and need not keep the cluster from its work.
func (a *Authenticator) Verify(c *auth.Credentials) (*Verified, bool, error) {
	if issuerOf(c.Bearer) != a.issuer {
		return nil, false, nil
	}
	token, err := jwt.ParseSigned(c.Bearer, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		return nil, false, fmt.Errorf("service account token: %w", err)
	}
	var v Verified
	var private struct {
		Kubernetes bound `json:"kubernetes.io"`
	}
	if err := a.verify(token, &v.public, &private); err != nil {
		return nil, false, fmt.Errorf("service account token: %w", err)
	}
	v.private = private.Kubernetes
	if v.intended = auth.Intended(v.public.Audience, c.Audiences, a.audiences); len(v.intended) == 0 {
		asked := c.Audiences
		if len(asked) == 0 {
			asked = a.audiences
		}
		return nil, false, fmt.Errorf("token audiences %q is invalid for the target audiences %q", v.public.Audience, asked)
	}
	return &v, true, nil
}

// Known is the other half: whether the token's time is right, and all that it names there.
func (a *Authenticator) Known(now time.Time, v *Verified) (auth.Identity, error) {
	if err := inTime(now, &v.public); err != nil {
		return auth.Identity{}, err
	}
	u, err := a.user(now, &v.public, &v.private)
	if err != nil {
		return auth.Identity{}, err
	}
	return auth.Identity{User: u, Audiences: v.intended}, nil
}

// issuerOf reads who claims to have issued a token, before anything is checked; ""
// of what is no token.
func issuerOf(token string) string {
	parts := strings.SplitN(token, ".", 4)
	if len(token) > tokenBytesMax || len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &c) != nil {
		return ""
	}
	return c.Issuer
}

// verify checks the signature: by the key that the token names, or by each where
// it names none that is known.
func (a *Authenticator) verify(token *jwt.JSONWebToken, into ...any) error {
	keys := a.keys
	if i := slices.IndexFunc(keys, func(k *Key) bool { return k.id == token.Headers[0].KeyID }); i >= 0 {
		keys = keys[i : i+1]
	}
	var err error
	for _, k := range keys {
		if string(k.algorithm) != token.Headers[0].Algorithm {
			err = fmt.Errorf("signed by %s, the key is for %s", token.Headers[0].Algorithm, k.algorithm)
			continue
		}
		if err = token.Claims(k.signer.Public(), into...); !errors.Is(err, jose.ErrCryptoFailure) {
			return err
		}
		err = errKey
	}
	return err
}

func inTime(now time.Time, c *jwt.Claims) error {
	if c.Expiry == nil {
		return errNoExpiry
	}
	if now.IsZero() {
		panic("satoken: asked at the zero time, which go-jose takes for the wall clock's")
	}
	switch err := c.ValidateWithLeeway(jwt.Expected{Time: now}, leeway); err {
	case nil:
		return nil
	case jwt.ErrExpired:
		return errExpired
	case jwt.ErrNotValidYet:
		return errEarly
	case jwt.ErrIssuedInTheFuture:
		return errFuture
	default:
		return fmt.Errorf("service account token: %w", err)
	}
}

// user asks whether all that the token names is still there, and is the same.
func (a *Authenticator) user(now time.Time, public *jwt.Claims, b *bound) (auth.User, error) {
	account := kinds.Key{Namespace: b.Namespace, Name: b.ServiceAccount.Name}
	if public.Subject != subjectOf(account) {
		return auth.User{}, fmt.Errorf("service account token is of %q and names %q", public.Subject, subjectOf(account))
	}
	sa, err := a.present(now, kinds.Ref{Kind: kinds.ServiceAccount, Key: account}, fmt.Errorf("service account %s has been deleted", account))
	if err != nil {
		return auth.User{}, err
	}
	if uid := string(sa.GetUID()); uid != b.ServiceAccount.UID {
		return auth.User{}, fmt.Errorf("service account UID (%s) does not match claim (%s)", uid, b.ServiceAccount.UID)
	}
	u := auth.ServiceAccount(account.Namespace, account.Name)
	u.UID = string(sa.GetUID())
	if err := a.checkBound(now, b); err != nil {
		return auth.User{}, err
	}
	u.Extra = extra(public.ID, b)
	return u, nil
}

// checkBound looks at the object that the token dies with.
func (a *Authenticator) checkBound(now time.Time, b *bound) error {
	to, kind, name := b.Pod, kinds.Pod, "pod"
	gone := errors.New("pod of the service account token has been deleted")
	switch {
	case b.Pod != nil:
	case b.Secret != nil:
		to, kind, name, gone = b.Secret, kinds.Secret, "secret", errSecret
	case b.Node != nil:
		to, kind, name, gone = b.Node, kinds.Node, "node", errors.New("node of the service account token has been deleted")
	default:
		return nil
	}
	key := kinds.Key{Namespace: b.Namespace, Name: to.Name}
	if kind == kinds.Node {
		key.Namespace = ""
	}
	o, err := a.present(now, kinds.Ref{Kind: kind, Key: key}, gone)
	if err != nil {
		return err
	}
	if uid := string(o.GetUID()); uid != to.UID {
		return fmt.Errorf("%s UID (%s) does not match service account %s ref claim (%s)", name, uid, name, to.UID)
	}
	return nil
}

// present finds an object that is not being deleted, give or take the leeway.
func (a *Authenticator) present(now time.Time, r kinds.Ref, gone error) (kinds.Object, error) {
	o := a.look(r)
	if o == nil {
		return nil, notFound(r.Kind, r.Name)
	}
	if at := o.GetDeletionTimestamp(); at != nil && at.Time.Before(now.Add(-leeway)) {
		return nil, gone
	}
	return o, nil
}

func extra(id string, b *bound) map[string][]string {
	x := map[string][]string{}
	if id != "" {
		x[auth.CredentialID] = []string{"JTI=" + id}
	}
	if b.Pod != nil {
		x[extraPodName], x[extraPodUID] = []string{b.Pod.Name}, []string{b.Pod.UID}
	}
	if b.Node != nil {
		x[extraNodeName] = []string{b.Node.Name}
		if b.Node.UID != "" {
			x[extraNodeUID] = []string{b.Node.UID}
		}
	}
	return x
}
