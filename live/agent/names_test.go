package agent

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

func TestUnsafeNames(t *testing.T) {
	good := func() *corev1.Pod {
		p := &corev1.Pod{}
		p.UID, p.Namespace, p.Name = "uid-1", "ns", "p"
		p.Spec.Containers = []corev1.Container{{Name: "c"}}
		p.Spec.Volumes = []corev1.Volume{{Name: "v"}}
		return p
	}
	require.Empty(t, unsafeNames(good()))
	for _, edit := range []func(*corev1.Pod){
		func(p *corev1.Pod) { p.UID = "../../x" },
		func(p *corev1.Pod) { p.UID = "" },
		func(p *corev1.Pod) { p.Name = ".." },
		func(p *corev1.Pod) { p.Namespace = "a/b" },
		func(p *corev1.Pod) { p.Spec.Volumes[0].Name = ".." },
		func(p *corev1.Pod) { p.Spec.Containers[0].Name = "a\x00" },
		func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "../c"}}}
		},
	} {
		p := good()
		edit(p)
		require.NotEmpty(t, unsafeNames(p))
	}
}

func TestSpellings(t *testing.T) {
	require.Equal(t, []string{"docker.io/library/web:v1", "library/web:v1", "web:v1", "docker.io/web:v1"}, spellings("docker.io/library/web:v1"))
	require.Equal(t, []string{"docker.io/me/web:v1", "me/web:v1"}, spellings("docker.io/me/web:v1"))
	require.Equal(t, []string{"quay.io/a:b"}, spellings("quay.io/a:b"))
}
