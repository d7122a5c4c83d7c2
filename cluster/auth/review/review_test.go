package review_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/authtest"
	"seatrial.dev/seatrial/cluster/auth/rbac"
	"seatrial.dev/seatrial/cluster/auth/review"
	"seatrial.dev/seatrial/cluster/auth/statictoken"
)

// TestTranscripts asks reviews under a policy and prints their status; -rewrite
// writes it.
func TestTranscripts(t *testing.T) {
	tokens, _, err := statictoken.Parse("f", []byte("tok,joe,7,dev\n"), []string{"api"})
	require.NoError(t, err)
	front := &auth.Front{Of: []auth.Authenticator{tokens}, Anonymous: true}
	var az auth.Authorizer
	datadriven.RunTest(t, "testdata/reviews", func(t *testing.T, d *datadriven.TestData) string {
		var u auth.User
		if who, ok := d.Arg("user"); ok {
			u = authtest.User(strings.Join(who.Vals, ","))
		}
		read := func(into any) { require.NoError(t, yaml.UnmarshalStrict([]byte(d.Input), into)) }
		switch d.Cmd {
		case "policy":
			az = auth.Chain{auth.Privileged{}, rbac.New(slices.Values(authtest.Objects(t, d.Input)))}
			return ""
		case "self":
			q := &authorizationv1.SelfSubjectAccessReview{}
			read(&q.Spec)
			out, err := review.SelfSubjectAccess(az, u, q)
			return show(t, err, &out.Status)
		case "subject":
			q := &authorizationv1.SubjectAccessReview{}
			read(&q.Spec)
			out, err := review.SubjectAccess(az, q)
			return show(t, err, &out.Status)
		case "local":
			q := &authorizationv1.LocalSubjectAccessReview{}
			read(&q.Spec)
			q.Namespace = "shop"
			out, err := review.LocalSubjectAccess(az, q)
			return show(t, err, &out.Status)
		case "rules":
			q := &authorizationv1.SelfSubjectRulesReview{}
			read(&q.Spec)
			out, err := review.SelfSubjectRules(az, u, q)
			if err != nil {
				return err.Error() + "\n"
			}
			return show(t, nil, &out.Status)
		case "whoami":
			u.Extra = map[string][]string{"k": {"v"}}
			return show(t, nil, &review.SelfSubject(u, &authenticationv1.SelfSubjectReview{}).Status)
		case "token":
			q := &authenticationv1.TokenReview{}
			read(&q.Spec)
			out, err := review.Token(time.Time{}, front, q)
			if err != nil {
				return err.Error() + "\n"
			}
			require.Empty(t, out.Spec.Token)
			return show(t, nil, &out.Status)
		}
		t.Fatalf("unknown command %s", d.Cmd)
		return ""
	})
}

func show(t *testing.T, err error, status any) string {
	if err != nil {
		return err.Error() + "\n"
	}
	text, err := yaml.Marshal(status)
	require.NoError(t, err)
	return string(text)
}
