package identity

import (
	"context"
	"fmt"
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/auth/noderestriction"
	"seatrial.dev/seatrial/cluster/auth/satoken"
	"seatrial.dev/seatrial/cluster/kinds"
)

// tokens is serviceaccounts/token.
func (i *Identity) tokens() apiserver.Virtual {
	return apiserver.Virtual{Resource: corev1.SchemeGroupVersion.WithResource("serviceaccounts"), Subresource: "token",
		Kind: authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"), Namespaced: true, Create: i.token}
}

// token mints a token of a service account. It is no write: a recorded run does
// without it.
func (i *Identity) token(ctx context.Context, r apiserver.VirtualRequest) (runtime.Object, error) {
	var out *authenticationv1.TokenRequest
	var err error
	failed := i.cluster.Do(ctx, func(now time.Time, a *api.API) {
		get, account, q := a.Store().Get, kinds.Key{Namespace: r.Namespace, Name: r.Name}, r.Object.(*authenticationv1.TokenRequest)
		if i.view != nil {
			if err = noderestriction.CheckToken(&r.User, get, account, q); err != nil {
				return
			}
		}
		out, err = i.issuer.Mint(now, get, account, q, string(uuid.NewUUID()))
	})
	if failed != nil {
		return nil, unavailable(failed)
	}
	return out, err
}

// documents are what others need to check tokens of service accounts, by path.
func (i *Identity) documents() (map[string]http.Handler, error) {
	keys, err := i.issuer.KeySet()
	if err != nil {
		return nil, fmt.Errorf("write the set of token keys: %w", err)
	}
	discovery, err := i.issuer.Discovery("")
	if err != nil {
		return nil, fmt.Errorf("write the token issuer's configuration: %w", err)
	}
	return map[string]http.Handler{
		satoken.PathKeySet:    document{"application/jwk-set+json", keys},
		satoken.PathDiscovery: document{"application/json", discovery},
	}, nil
}

// document is a fixed text.
type document struct {
	media string
	text  []byte
}

// ServeHTTP implements http.Handler.
func (d document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "want GET", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", d.media)
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = w.Write(d.text) // the client has gone
}
