package nodeauth_test

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/fields"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/authtest"
	"seatrial.dev/seatrial/cluster/auth/nodeauth"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
)

// selecting gives questions a field selector, as a list may have one.
type selecting struct {
	auth.Authorizer
	selector fields.Selector
}

func (s selecting) Authorize(a *auth.Attributes) (auth.Decision, string) {
	a.Fields = s.selector.Requirements()
	return s.Authorizer.Authorize(a)
}

// TestTranscripts asks what nodes may do; -rewrite writes the answers.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		s, v := store.New(1000), view.New()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "objects":
				for _, o := range authtest.Objects(t, d.Input) {
					e, err := s.Create(o)
					if err != nil {
						e, err = s.Update(o, 0)
					}
					require.NoError(t, err)
					v.Apply(e)
				}
				return ""
			case "delete":
				for _, o := range authtest.Objects(t, d.Input) {
					e, err := s.Delete(kinds.RefOf(o), nil, 0)
					require.NoError(t, err)
					v.Apply(e)
				}
				return ""
			case "can":
				selector := ""
				d.MaybeScanArgs(t, "fields", &selector)
				return authtest.Ask(t, selecting{nodeauth.New(v), fields.ParseSelectorOrDie(selector)}, d.Input)
			}
			t.Fatalf("unknown command %s", d.Cmd)
			return ""
		})
	})
}

// BenchmarkSecret is a question about a secret that the last of 110 pods uses.
func BenchmarkSecret(b *testing.B) {
	s, v := store.New(1000), view.New()
	for i := range 110 {
		for _, o := range authtest.Objects(b, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: p%03d, namespace: shop}
spec:
  nodeName: n1
  containers: [{name: c, image: i, env: [{name: A, valueFrom: {secretKeyRef: {name: s%d, key: k}}}]}]
  volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: token}}, {configMap: {name: kube-root-ca.crt}}]}}]
`, i, i)) {
			e, err := s.Create(o)
			require.NoError(b, err)
			v.Apply(e)
		}
	}
	z, a := nodeauth.New(v), authtest.Question(b, "system:node:n1,system:nodes get shop:secrets=s109")
	for b.Loop() {
		if d, reason := z.Authorize(a); d != auth.Allow {
			b.Fatal(reason)
		}
	}
}
