package noderestriction_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/noderestriction"
	"seatrial.dev/seatrial/cluster/kinds"
)

var n1 = &auth.User{Name: "system:node:n1", Groups: []string{"system:nodes"}}

func pod(node string, labels map[string]string, audiences ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", UID: "u", Labels: labels}, Spec: corev1.PodSpec{NodeName: node}}
	for _, a := range audiences {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "t", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: a}}}}}})
	}
	return p
}

func node(name, cidr string, labels map[string]string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: corev1.NodeSpec{PodCIDR: cidr}}
	if cidr != "" {
		n.Spec.PodCIDRs = []string{cidr}
	}
	return n
}

// TestWrites are those of node n1; want is part of the refusal, "" of none.
func TestWrites(t *testing.T) {
	a, b := map[string]string{"app": "a"}, map[string]string{"app": "b"}
	trusted := map[string]string{"node-restriction.kubernetes.io/trusted": "yes"}
	for _, c := range []struct {
		name   string
		r      api.Request
		stored kinds.Object
		want   string
	}{
		{"its pod's status", api.UpdateStatus(pod("n1", a)), pod("n1", a), ""},
		{"its pod's labels", api.UpdateStatus(pod("n1", b)), pod("n1", a), "cannot update labels through pod status"},
		{"its pod's labels away", api.UpdateStatus(pod("n1", nil)), pod("n1", a), "cannot update labels through pod status"},
		{"another's pod", api.UpdateStatus(pod("n2", a)), pod("n2", a), "with spec.nodeName set to itself"},
		{"a pod it would like to have", api.UpdateStatus(pod("n1", a)), pod("n2", a), "with spec.nodeName set to itself"},
		{"itself", api.Create(node("n1", "", a)), nil, ""},
		{"itself with a range", api.Create(node("n1", "0.0.0.0/0", a)), nil, "not allowed to modify spec.podCIDR"},
		{"a range later", api.Update(node("n1", "10.244.7.0/24", a)), node("n1", "", a), "not allowed to modify spec.podCIDR"},
		{"no range any more", api.Update(node("n1", "", a)), node("n1", "10.244.1.0/24", a), "not allowed to modify spec.podCIDR"},
		{"the range it has", api.Update(node("n1", "10.244.1.0/24", b)), node("n1", "10.244.1.0/24", a), ""},
		{"its status, range left out", api.UpdateStatus(node("n1", "", a)), node("n1", "10.244.1.0/24", a), ""},
		{"a label of trust", api.UpdateStatus(node("n1", "", trusted)), node("n1", "", nil), "is not allowed to modify labels"},
		{"a role", api.Create(node("n1", "", map[string]string{"node-role.kubernetes.io/control-plane": ""})), nil, "modify labels: node-role.kubernetes.io/control-plane"},
		{"no role", api.Update(node("n1", "", nil)), node("n1", "", map[string]string{"x.k8s.io/y": ""}), "modify labels: x.k8s.io/y"},
		{"what it knows", api.Create(node("n1", "", map[string]string{"kubernetes.io/arch": "amd64", "topology.kubernetes.io/zone": "a", "node.kubernetes.io/instance-type": "x", "example.com/y": ""})), nil, ""},
		{"another node", api.UpdateStatus(node("n2", "", a)), node("n2", "", a), `node "n1" is not allowed to modify node "n2"`},
	} {
		err := noderestriction.CheckWrite(n1, &c.r, c.stored)
		if c.want == "" {
			require.NoError(t, err, c.name)
		} else {
			require.ErrorContains(t, err, c.want, c.name)
		}
		require.NoError(t, noderestriction.CheckWrite(&auth.User{Name: "jane"}, &c.r, c.stored), c.name)
	}
}

// TestTokens are asked for by node n1.
func TestTokens(t *testing.T) {
	for _, c := range []struct {
		name      string
		pod       *corev1.Pod
		audiences []string
		want      string
	}{
		{"the API's", pod("n1", nil, ""), nil, ""},
		{"another's", pod("n1", nil, "", "vault"), []string{"vault"}, ""},
		{"none asked for", pod("n1", nil), nil, `audience "" not found in pod spec volume`},
		{"not the one asked for", pod("n1", nil, ""), []string{"vault"}, `audience "vault" not found in pod spec volume`},
		{"both", pod("n1", nil, "vault", "bank"), []string{"vault", "bank"}, "0 or 1 audiences"},
		{"of a pod elsewhere", pod("n2", nil, ""), nil, "scheduled on a different node"},
	} {
		q := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: c.audiences,
			BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "p", UID: "u"}}}
		err := noderestriction.CheckToken(n1, func(kinds.Ref) kinds.Object { return c.pod }, kinds.Key{Namespace: "default", Name: "default"}, q)
		if c.want == "" {
			require.NoError(t, err, c.name)
		} else {
			require.ErrorContains(t, err, c.want, c.name)
		}
	}
}
