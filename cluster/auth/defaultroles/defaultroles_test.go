package defaultroles_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/authtest"
	"seatrial.dev/seatrial/cluster/auth/defaultroles"
	"seatrial.dev/seatrial/cluster/auth/rbac"
	"seatrial.dev/seatrial/cluster/kinds"
)

// TestTranscripts asks who may do what with the default roles, a few users having
// been given some of them; -rewrite writes the answers.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		objects := defaultroles.All()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "bind":
				objects = append(objects, authtest.Objects(t, d.Input)...)
				return ""
			case "list":
				return list(objects)
			case "can":
				return authtest.Ask(t, auth.Chain{auth.Privileged{}, rbac.New(slices.Values(objects))}, d.Input)
			}
			t.Fatalf("unknown command %s", d.Cmd)
			return ""
		})
	})
}

func list(objects []kinds.Object) string {
	var b strings.Builder
	for _, o := range objects {
		fmt.Fprintln(&b, kinds.RefOf(o))
	}
	return b.String()
}

// TestObjectsAreValid: an API takes them as they are, and they are fresh copies.
func TestObjectsAreValid(t *testing.T) {
	again := defaultroles.All()
	for i, o := range defaultroles.All() {
		kinds.Default(o)
		require.Empty(t, kinds.Validate(o), kinds.RefOf(o).String())
		require.NotSame(t, o, again[i])
		before := kinds.Clone(again[i])
		o.GetLabels()["x"] = "y"
		require.Empty(t, cmp.Diff(before, again[i]))
	}
}

// BenchmarkDecisions are those of a cluster with the default roles and a thousand
// users bound in a hundred namespaces.
func BenchmarkDecisions(b *testing.B) {
	objects := defaultroles.All()
	for i := range 1000 {
		objects = append(objects, authtest.Objects(b, fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b%d, namespace: ns%d}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %s}
subjects: [{kind: User, name: u%d, apiGroup: rbac.authorization.k8s.io}]
`, i, i%100, []string{"admin", "edit", "view"}[i%3], i))...)
	}
	x := rbac.New(slices.Values(objects))
	for _, c := range []struct{ name, question string }{
		{"admin gets a pod", "u0,system:authenticated,dev,ops ns0:pods=x"},
		{"viewer may not delete", "u2,system:authenticated,dev,ops ns2:pods=x"},
		{"scheduler binds", "system:kube-scheduler,system:authenticated ns0:pods/binding=x"},
		{"discovery", "u5,system:authenticated /apis/apps/v1"},
		{"controller patches", "system:serviceaccount:kube-system:job-controller,system:authenticated ns0:pods=x"},
	} {
		f := strings.Fields(c.question)
		verb := map[string]string{"viewer may not delete": "delete", "scheduler binds": "create", "controller patches": "patch"}[c.name]
		if verb == "" {
			verb = "get"
		}
		a := authtest.Question(b, f[0]+" "+verb+" "+f[1])
		want := auth.Allow
		if verb == "delete" {
			want = auth.NoOpinion
		}
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if d, _ := x.Authorize(a); d != want {
					b.Fatal(d)
				}
			}
		})
	}
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			rbac.New(slices.Values(objects))
		}
	})
}
