package auth_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/authtest"
	"seatrial.dev/seatrial/cluster/auth/rbac"
)

// knows is an authenticator of bearer tokens that begin with its name.
type knows string

func (k knows) Authenticate(_ time.Time, c *auth.Credentials) (auth.Identity, bool, error) {
	rest, ok := strings.CutPrefix(c.Bearer, string(k)+":")
	if rest == "bad" {
		return auth.Identity{}, false, errors.New(string(k) + " is bad")
	}
	return auth.Identity{User: authtest.User(rest)}, ok, nil
}

func TestFront(t *testing.T) {
	f := &auth.Front{Of: []auth.Authenticator{knows("a"), knows("b")}, Anonymous: true}
	for _, c := range []struct{ bearer, want string }{
		{"a:jane,dev", "jane [dev system:authenticated]"},
		{"b:joe", "joe [system:authenticated]"},
		{"b:odd,system:unauthenticated", "odd [system:unauthenticated]"},
		{"", "system:anonymous [system:unauthenticated]"},
		{"c:x", "invalid bearer token"},
		{"a:bad", "[invalid bearer token, a is bad]"},
	} {
		id, err := f.Identify(time.Time{}, &auth.Credentials{Bearer: c.bearer})
		got := fmt.Sprint(id.User.Name, " ", id.User.Groups)
		if err != nil {
			got = err.Error()
		}
		require.Equal(t, c.want, got, c.bearer)
	}
	f.Anonymous = false
	_, err := f.Identify(time.Time{}, &auth.Credentials{})
	require.ErrorContains(t, err, "anonymous requests are not allowed")
	require.Equal(t, int32(401), auth.Unauthorized().ErrStatus.Code)
}

// says is an authorizer with one answer.
type says struct {
	d      auth.Decision
	reason string
}

func (s says) Authorize(*auth.Attributes) (auth.Decision, string) { return s.d, s.reason }

func TestChain(t *testing.T) {
	no, why := says{auth.NoOpinion, "first"}, says{auth.NoOpinion, "second"}
	for _, c := range []struct {
		of   auth.Chain
		want says
	}{
		{auth.Chain{}, says{}},
		{auth.Chain{no, why}, says{auth.NoOpinion, "first\nsecond"}},
		{auth.Chain{no, says{auth.Allow, "x"}, says{auth.Deny, "y"}}, says{auth.Allow, "x"}},
		{auth.Chain{no, says{auth.Deny, "y"}, says{auth.Allow, "x"}}, says{auth.Deny, "y"}},
		{auth.Chain{auth.AlwaysDeny{}, auth.AlwaysAllow{}}, says{auth.Allow, ""}},
		{auth.Chain{auth.Privileged{}, auth.AlwaysDeny{}}, says{auth.NoOpinion, "Everything is forbidden."}},
	} {
		d, reason := c.of.Authorize(&auth.Attributes{})
		require.Equal(t, c.want, says{d, reason})
	}
	boss := auth.User{Name: "boss", Groups: []string{auth.Masters}}
	r := auth.Chain{auth.Privileged{}, auth.AlwaysDeny{}}.Rules(&boss, "n")
	require.Len(t, r.Resource, 1)
	require.False(t, r.Incomplete)
	require.True(t, auth.Chain{no}.Rules(&boss, "n").Incomplete)
}

func TestServiceAccountNames(t *testing.T) {
	u := auth.ServiceAccount("shop", "till")
	ns, name, ok := auth.SplitServiceAccount(u.Name)
	require.Equal(t, "shop/till/true", fmt.Sprintf("%s/%s/%t", ns, name, ok))
	for _, bad := range []string{"till", "system:serviceaccount:", "system:serviceaccount:shop", "system:serviceaccount:shop:", "system:serviceaccount::x", "system:serviceaccount:a:b:c"} {
		_, _, ok := auth.SplitServiceAccount(bad)
		require.False(t, ok, bad)
	}
}

// TestImpersonation lets users of a policy act as others; -rewrite writes whom they
// become.
func TestImpersonation(t *testing.T) {
	var az auth.Authorizer
	datadriven.RunTest(t, "testdata/impersonation", func(t *testing.T, d *datadriven.TestData) string {
		if d.Cmd == "policy" {
			az = rbac.New(slices.Values(authtest.Objects(t, d.Input)))
			return ""
		}
		header := map[string][]string{}
		for line := range strings.Lines(d.Input) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			header[key] = append(header[key], value)
		}
		who, _ := d.Arg("user")
		u, changed, err := auth.Impersonate(az, authtest.User(strings.Join(who.Vals, ",")), header)
		if err != nil {
			return err.Error() + "\n"
		}
		return fmt.Sprintf("%t %s uid=%q %v %v\n", changed, u.Name, u.UID, u.Groups, u.Extra)
	})
}
