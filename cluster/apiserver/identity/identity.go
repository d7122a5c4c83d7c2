package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/audit"
	"seatrial.dev/seatrial/cluster/auth/auditfile"
	"seatrial.dev/seatrial/cluster/auth/bootstraptoken"
	"seatrial.dev/seatrial/cluster/auth/certs"
	"seatrial.dev/seatrial/cluster/auth/defaultroles"
	"seatrial.dev/seatrial/cluster/auth/nodeauth"
	"seatrial.dev/seatrial/cluster/auth/rbac"
	"seatrial.dev/seatrial/cluster/auth/satoken"
	"seatrial.dev/seatrial/cluster/auth/statictoken"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
)

// Config is what may be chosen of an Identity.
type Config struct {
	Modes     []Mode              // asked in this order, after the group system:masters has been let in; at least one
	Anonymous bool                // requests without credentials are those of system:anonymous
	Clients   []*x509.Certificate // authorities of client certificates; none: there are no such clients
	Tokens    *statictoken.Tokens // of a file; nil for none
	Now       func() time.Time    // the wall's clock
	Audit     *auditfile.Log      // nil for none
	Problem   func(error)         // hears of audit lines that could not be written; nil: nobody does
}

func (c *Config) validate() error {
	switch {
	case len(c.Modes) == 0:
		return errors.New("identity: no authorization mode")
	case c.Now == nil:
		return errors.New("identity: no clock")
	}
	return nil
}

// Identity is all that a served cluster knows of its users.
type Identity struct {
	cluster apiserver.Cluster
	cfg     Config
	issuer  *satoken.Issuer
	always  []auth.Authenticator // that need not ask the cluster
	issued  []auth.Authenticator // of the tokens that it issues: on its goroutine and at its time
	// The same two, each by itself.
	joining  *bootstraptoken.Tokens
	accounts *satoken.Authenticator
	store    *store.Store // the cluster's, set by Prepare and used on its goroutine

	mu    sync.RWMutex // held to write by Observe
	index *rbac.Index  // nil without mode RBAC
	view  *view.View   // nil without mode Node
	chain auth.Chain   // asked under mu
}

// New returns the identity of a cluster, whose service accounts' tokens an issuer
// mints. The cluster must call Observe after every write from the first on.
func New(c apiserver.Cluster, issuer *satoken.Issuer, cfg Config) (*Identity, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	i := &Identity{cluster: c, cfg: cfg, issuer: issuer, chain: auth.Chain{auth.Privileged{}}}
	i.joining, i.accounts = bootstraptoken.New(i.look), satoken.NewAuthenticator(issuer, i.look)
	i.issued = []auth.Authenticator{i.joining, i.accounts}
	if len(cfg.Clients) > 0 {
		i.always = append(i.always, certs.NewClientAuth(cfg.Clients...))
	}
	if cfg.Tokens != nil {
		i.always = append(i.always, cfg.Tokens)
	}
	for _, m := range cfg.Modes {
		switch m {
		case AlwaysAllow:
			i.chain = append(i.chain, auth.AlwaysAllow{})
		case AlwaysDeny:
			i.chain = append(i.chain, auth.AlwaysDeny{})
		case RBAC:
			i.index = rbac.New(slices.Values[[]kinds.Object](nil))
			i.chain = append(i.chain, i.index)
		case Node:
			i.view = view.New(kinds.Pod, kinds.PersistentVolumeClaim, kinds.PersistentVolume, kinds.VolumeAttachment)
			i.chain = append(i.chain, nodeauth.New(i.view))
		default:
			return nil, fmt.Errorf("identity: there is no authorization mode %q", m)
		}
	}
	return i, nil
}

// Configure makes a server ask this identity.
func (i *Identity) Configure(cfg *apiserver.Config) error {
	documents, err := i.documents()
	if err != nil {
		return err
	}
	cfg.Authenticate, cfg.Authorize, cfg.Admit = i.authenticate, i.authorize, i.admit
	if i.cfg.Audit != nil {
		cfg.Audit = i.record
	}
	tokens := &auth.Front{Of: i.issued}
	if i.cfg.Tokens != nil {
		tokens.Of = append(tokens.Of[:len(tokens.Of):len(tokens.Of)], i.cfg.Tokens)
	}
	cfg.Virtual = append(append(cfg.Virtual, apiserver.Reviews(i.cluster, locked{i}, tokens)...), i.tokens())
	if cfg.Paths == nil {
		cfg.Paths = map[string]http.Handler{}
	}
	for path, d := range documents {
		cfg.Paths[path] = d
	}
	return nil
}

// record writes an audit line.
func (i *Identity) record(r *audit.Record) {
	if err := i.cfg.Audit.Write(r); err != nil && i.cfg.Problem != nil {
		i.cfg.Problem(err)
	}
}

// Observe follows a write. The cluster calls it on its own goroutine.
func (i *Identity) Observe(e store.Event) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.index != nil {
		i.index.Apply(e)
	}
	if i.view != nil {
		i.view.Apply(e)
	}
}

// look finds an object of the cluster, on its goroutine.
func (i *Identity) look(r kinds.Ref) kinds.Object { return i.store.Get(r) }

// Prepare creates what the modes need of objects, where it is not there: the default
// roles and bindings, in mode RBAC. It must be called before anybody is let in.
func (i *Identity) Prepare(ctx context.Context) error {
	var failed error
	err := i.cluster.Do(ctx, func(now time.Time, a *api.API) {
		i.store = a.Store()
		if i.index == nil {
			return
		}
		for _, o := range defaultroles.All() {
			if a.Store().Get(kinds.RefOf(o)) != nil {
				continue
			}
			if _, err := a.Do(now, api.Create(o)); err != nil && failed == nil {
				failed = fmt.Errorf("create the default role or binding %s: %w", kinds.RefOf(o), err)
			}
		}
	})
	return errors.Join(err, failed)
}
