package bootstraptoken_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/bootstraptoken"
	"seatrial.dev/seatrial/cluster/kinds"
)

func TestTokens(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const token = "abcdef.0123456789abcdef"
	for _, c := range []struct {
		name, token string
		change      func(*corev1.Secret)
		want        string
	}{
		{"good", token, func(*corev1.Secret) {}, "system:bootstrap:abcdef [system:bootstrappers system:bootstrappers:kubeadm:default]"},
		{"no groups", token, func(s *corev1.Secret) { delete(s.Data, "auth-extra-groups") }, "system:bootstrap:abcdef [system:bootstrappers]"},
		{"wrong secret", "abcdef.0123456789abcdee", func(*corev1.Secret) {}, "not mine"},
		{"unknown", "abcdeg.0123456789abcdef", func(*corev1.Secret) {}, "not mine"},
		{"another form", "abcdef.0123456789ABCDEF", func(*corev1.Secret) {}, "not mine"},
		{"another type", token, func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }, "not mine"},
		{"another id", token, func(s *corev1.Secret) { s.Data["token-id"] = []byte("abcdeg") }, "not mine"},
		{"no secret", token, func(s *corev1.Secret) { delete(s.Data, "token-secret") }, "not mine"},
		{"being deleted", token, func(s *corev1.Secret) { s.DeletionTimestamp = &metav1.Time{Time: now} }, "not mine"},
		{"expired", token, func(s *corev1.Secret) { s.Data["expiration"] = []byte("2026-03-01T12:00:00Z") }, "bootstrap token abcdef has expired"},
		{"bad time", token, func(s *corev1.Secret) { s.Data["expiration"] = []byte("soon") }, "bootstrap token abcdef: expiration is not a time of RFC 3339"},
		{"for signing", token, func(s *corev1.Secret) { delete(s.Data, "usage-bootstrap-authentication") }, "bootstrap token abcdef is not for authentication"},
		{"too much", token, func(s *corev1.Secret) { s.Data["auth-extra-groups"] = []byte("system:masters") }, `bootstrap token abcdef: bootstrap group "system:masters" is invalid (must match ^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$)`},
	} {
		s := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "bootstrap-token-abcdef"},
			Type:       corev1.SecretTypeBootstrapToken,
			Data: map[string][]byte{
				"token-id": []byte("abcdef"), "token-secret": []byte("0123456789abcdef"), "expiration": []byte("2026-03-01T12:00:01Z"),
				"usage-bootstrap-authentication": []byte("true"), "auth-extra-groups": []byte("system:bootstrappers:kubeadm:default"),
			},
		}
		c.change(s)
		look := func(r kinds.Ref) kinds.Object {
			if r == kinds.RefOf(s) {
				return s
			}
			return nil
		}
		id, ok, err := bootstraptoken.New(look).Authenticate(now, &auth.Credentials{Bearer: c.token})
		got := "not mine"
		switch {
		case err != nil:
			got = err.Error()
		case ok:
			got = fmt.Sprint(id.User.Name, " ", id.User.Groups)
		}
		require.Equal(t, c.want, got, c.name)
	}
}
