package rbac_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/authtest"
	"seatrial.dev/seatrial/cluster/auth/rbac"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// session is an index over a policy that commands change.
type session struct {
	store *store.Store
	index *rbac.Index
}

// TestTranscripts reads policies and asks who can do what; -rewrite writes the
// answers.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		s := &session{store.New(100), rbac.New(slices.Values[[]kinds.Object](nil))}
		datadriven.RunTest(t, path, s.play)
	})
}

func (s *session) play(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "policy": // creates or replaces
		for _, o := range authtest.Objects(t, d.Input) {
			e, err := s.store.Create(o)
			if err != nil {
				e, err = s.store.Update(o, 0)
			}
			require.NoError(t, err)
			s.index.Apply(e)
		}
		return ""
	case "delete":
		for _, o := range authtest.Objects(t, d.Input) {
			e, err := s.store.Delete(kinds.RefOf(o), nil, 0)
			require.NoError(t, err)
			s.index.Apply(e)
		}
		return ""
	case "can":
		return authtest.Ask(t, s.index, d.Input)
	case "rules":
		u, namespace := authtest.User(d.Input), ""
		d.MaybeScanArgs(t, "namespace", &namespace)
		return s.rules(u, namespace)
	case "escalate": // user in the argument, the object to write in the input
		who, _ := d.Arg("user")
		u := authtest.User(strings.Join(who.Vals, ","))
		o := authtest.Objects(t, d.Input)[0]
		if err := s.index.CheckEscalation(s.index, &u, o, s.store.Get(kinds.RefOf(o))); err != nil {
			return err.Error() + "\n"
		}
		return "allowed\n"
	}
	t.Fatalf("unknown command %s", d.Cmd)
	return ""
}

func (s *session) rules(u auth.User, namespace string) string {
	var b strings.Builder
	r := s.index.Rules(&u, namespace)
	for _, l := range r.Resource {
		fmt.Fprintf(&b, "%v of %q %v %v\n", l.Verbs, l.APIGroups, l.Resources, l.ResourceNames)
	}
	for _, l := range r.NonResource {
		fmt.Fprintf(&b, "%v of %v\n", l.Verbs, l.NonResourceURLs)
	}
	if r.Problem != "" {
		fmt.Fprintln(&b, r.Problem)
	}
	return b.String()
}

// TestCoverLimit: a rule of more singles than are looked at is refused as a whole.
func TestCoverLimit(t *testing.T) {
	many := make([]string, 200)
	for i := range many {
		many[i] = fmt.Sprint("x", i)
	}
	rule := rbacv1.PolicyRule{Verbs: many, APIGroups: many, Resources: many}
	require.Len(t, rbac.Covers(nil, []rbacv1.PolicyRule{rule}), 1)
	require.Empty(t, rbac.Covers([]rbacv1.PolicyRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: many}}, []rbacv1.PolicyRule{rule}))
}
