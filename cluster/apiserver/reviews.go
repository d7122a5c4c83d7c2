package apiserver

import (
	"context"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/review"
	"seatrial.dev/seatrial/cluster/auth/satoken"
	"seatrial.dev/seatrial/cluster/kinds"
)

// Reviews are the resources with which a client asks what somebody may do and who
// somebody is (kubectl auth can-i, kubectl auth whoami). They are answered on the
// cluster's goroutine, where authorizers may read its objects.
func Reviews(c Cluster, az auth.Authorizer, front *auth.Front) []Virtual {
	on := func(answer func(time.Time, VirtualRequest) (runtime.Object, error)) func(context.Context, VirtualRequest) (runtime.Object, error) {
		return func(ctx context.Context, r VirtualRequest) (o runtime.Object, err error) {
			derr := c.Do(ctx, func(now time.Time, _ *api.API) { o, err = answer(now, r) })
			return o, firstOf(derr, err)
		}
	}
	authn, authz := authenticationv1.SchemeGroupVersion, authorizationv1.SchemeGroupVersion
	row := func(gv schema.GroupVersion, resource, kind string, namespaced bool, answer func(time.Time, VirtualRequest) (runtime.Object, error)) Virtual {
		return Virtual{Resource: gv.WithResource(resource), Kind: gv.WithKind(kind), Namespaced: namespaced, Create: on(answer)}
	}
	return []Virtual{
		row(authz, "selfsubjectaccessreviews", "SelfSubjectAccessReview", false, func(_ time.Time, r VirtualRequest) (runtime.Object, error) {
			return review.SelfSubjectAccess(az, r.User, r.Object.(*authorizationv1.SelfSubjectAccessReview))
		}),
		row(authz, "subjectaccessreviews", "SubjectAccessReview", false, func(_ time.Time, r VirtualRequest) (runtime.Object, error) {
			return review.SubjectAccess(az, r.Object.(*authorizationv1.SubjectAccessReview))
		}),
		row(authz, "localsubjectaccessreviews", "LocalSubjectAccessReview", true, func(_ time.Time, r VirtualRequest) (runtime.Object, error) {
			q := r.Object.(*authorizationv1.LocalSubjectAccessReview)
			switch q.Namespace { // the right to ask is one for the namespace of the path
			case r.Namespace:
			case "":
				q.Namespace = r.Namespace
			default:
				return nil, apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
			}
			return review.LocalSubjectAccess(az, q)
		}),
		row(authz, "selfsubjectrulesreviews", "SelfSubjectRulesReview", false, func(_ time.Time, r VirtualRequest) (runtime.Object, error) {
			return review.SelfSubjectRules(az, r.User, r.Object.(*authorizationv1.SelfSubjectRulesReview))
		}),
		row(authn, "selfsubjectreviews", "SelfSubjectReview", false, func(_ time.Time, r VirtualRequest) (runtime.Object, error) {
			return review.SelfSubject(r.User, r.Object.(*authenticationv1.SelfSubjectReview)), nil
		}),
		row(authn, "tokenreviews", "TokenReview", false, func(now time.Time, r VirtualRequest) (runtime.Object, error) {
			return review.Token(now, front, r.Object.(*authenticationv1.TokenReview))
		}),
	}
}

// Tokens is the token subresource of service accounts (kubectl create token).
func Tokens(c Cluster, issuer *satoken.Issuer) Virtual {
	return Virtual{Resource: kinds.ServiceAccount.Info().GVR(), Subresource: "token", Namespaced: true,
		Kind: authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"),
		Create: func(ctx context.Context, r VirtualRequest) (o runtime.Object, err error) {
			account := kinds.Key{Namespace: r.Namespace, Name: r.Name}
			derr := c.Do(ctx, func(now time.Time, a *api.API) {
				o, err = issuer.Mint(now, a.Store().Get, account, r.Object.(*authenticationv1.TokenRequest), string(uuid.NewUUID()))
			})
			return o, firstOf(derr, err)
		}}
}
