package apiserver_test

import (
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/auth/satoken"
	"seatrial.dev/seatrial/cluster/store"
)

// later gives the resources of a server the cluster that is made with it.
type later struct{ *testCluster }

// TestTokens: a token is minted for an account that exists.
func TestTokens(t *testing.T) {
	key, err := satoken.DrawKey(rand.Reader)
	require.NoError(t, err)
	issuer, err := satoken.NewIssuer(satoken.Preset("cluster.local"), key)
	require.NoError(t, err)
	world := &later{}
	world.testCluster = newCluster(t, store.WindowDefault, apiserver.Config{Virtual: []apiserver.Virtual{apiserver.Tokens(world, issuer)}})
	world.must(t, api.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"}}))
	ctx, accounts := withDeadline(t), clients(t, world.serve(t).URL, mediaProto).CoreV1().ServiceAccounts("default")
	got, err := accounts.CreateToken(ctx, "a", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, got.Status.Token)
	_, err = accounts.CreateToken(ctx, "b", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.True(t, apierrors.IsNotFound(err), "%v", err)
}
