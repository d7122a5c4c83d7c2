package identity

import (
	"context"
	"fmt"
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/review"
	"seatrial.dev/seatrial/cluster/auth/satoken"
	"seatrial.dev/seatrial/cluster/kinds"
)

// virtual are the resources that are answered here.
func (i *Identity) virtual() []apiserver.Virtual {
	authz, authn := authorizationv1.SchemeGroupVersion, authenticationv1.SchemeGroupVersion
	return []apiserver.Virtual{
		question(authz, "selfsubjectaccessreviews", "SelfSubjectAccessReview", false, func(_ context.Context, r apiserver.VirtualRequest, q *authorizationv1.SelfSubjectAccessReview) (runtime.Object, error) {
			return review.SelfSubjectAccess(locked{i}, auth.User(r.User), q)
		}),
		question(authz, "subjectaccessreviews", "SubjectAccessReview", false, func(_ context.Context, _ apiserver.VirtualRequest, q *authorizationv1.SubjectAccessReview) (runtime.Object, error) {
			return review.SubjectAccess(locked{i}, q)
		}),
		question(authz, "localsubjectaccessreviews", "LocalSubjectAccessReview", true, i.localAccess),
		question(authz, "selfsubjectrulesreviews", "SelfSubjectRulesReview", false, func(_ context.Context, r apiserver.VirtualRequest, q *authorizationv1.SelfSubjectRulesReview) (runtime.Object, error) {
			return review.SelfSubjectRules(locked{i}, auth.User(r.User), q)
		}),
		question(authn, "selfsubjectreviews", "SelfSubjectReview", false, func(_ context.Context, r apiserver.VirtualRequest, q *authenticationv1.SelfSubjectReview) (runtime.Object, error) {
			return review.SelfSubject(auth.User(r.User), q), nil
		}),
		question(authn, "tokenreviews", "TokenReview", false, i.tokenReview),
		{
			Resource: corev1.SchemeGroupVersion.WithResource("serviceaccounts"), Subresource: "token",
			Kind: authn.WithKind("TokenRequest"), Namespaced: true, Create: i.token,
		},
	}
}

// question is a resource whose objects are of type T.
func question[T runtime.Object](gv schema.GroupVersion, plural, kind string, namespaced bool,
	answer func(context.Context, apiserver.VirtualRequest, T) (runtime.Object, error)) apiserver.Virtual {
	return apiserver.Virtual{Resource: gv.WithResource(plural), Kind: gv.WithKind(kind), Namespaced: namespaced,
		Create: func(ctx context.Context, r apiserver.VirtualRequest) (runtime.Object, error) {
			return answer(ctx, r, r.Object.(T))
		}}
}

func (i *Identity) localAccess(_ context.Context, r apiserver.VirtualRequest, q *authorizationv1.LocalSubjectAccessReview) (runtime.Object, error) {
	switch q.Namespace {
	case r.Namespace:
	case "":
		q.Namespace = r.Namespace
	default:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the namespace of the review (%s) does not match the namespace on the request (%s)", q.Namespace, r.Namespace))
	}
	return review.LocalSubjectAccess(locked{i}, q)
}

func (i *Identity) tokenReview(ctx context.Context, _ apiserver.VirtualRequest, q *authenticationv1.TokenReview) (runtime.Object, error) {
	front, cluster := i.front(ctx)
	answer, err := review.Token(i.cfg.Now(), front, q)
	if cluster.failed != nil {
		return nil, unavailable(cluster.failed)
	}
	return answer, err
}

// token mints a token of a service account. It is no write: a recorded run does
// without it.
func (i *Identity) token(ctx context.Context, r apiserver.VirtualRequest) (runtime.Object, error) {
	var out *authenticationv1.TokenRequest
	var err error
	failed := i.cluster.Do(ctx, func(now time.Time, a *api.API) {
		out, err = i.issuer.Mint(now, a.Store().Get, kinds.Key{Namespace: r.Namespace, Name: r.Name}, r.Object.(*authenticationv1.TokenRequest), newID())
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
