package review

import (
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"seatrial.dev/seatrial/cluster/auth"
)

// SelfSubject says who u is: kubectl auth whoami.
func SelfSubject(u auth.User, q *authenticationv1.SelfSubjectReview) *authenticationv1.SelfSubjectReview {
	out := q.DeepCopy()
	out.Status.UserInfo = u.Info()
	return out
}

// Token says whose a token is. The answer does not repeat the token. A token that
// is good for none of the audiences asked for is nobody's.
func Token(now time.Time, front *auth.Front, q *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
	if q.Spec.Token == "" {
		return nil, apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	out := q.DeepCopy()
	out.Spec.Token = ""
	out.Status = authenticationv1.TokenReviewStatus{}
	id, err := front.Identify(now, &auth.Credentials{Bearer: q.Spec.Token, Audiences: q.Spec.Audiences})
	switch {
	case err != nil:
		out.Status.Error = err.Error()
	case len(q.Spec.Audiences) > 0 && len(id.Audiences) == 0:
		out.Status.Error = "the token was not validated for any of the audiences"
	default:
		out.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: id.User.Info(), Audiences: id.Audiences}
	}
	return out, nil
}
