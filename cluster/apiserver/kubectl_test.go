package apiserver_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/store"
)

// TestKubectl lets the real kubectl, the one that make kubectl builds or else the one on
// the PATH, do what people do.
func TestKubectl(t *testing.T) {
	path, err := exec.LookPath("../../bin/kubectl")
	if err != nil {
		path, err = exec.LookPath("kubectl")
	}
	require.NoError(t, err, "build one by: make kubectl")
	c := newCluster(t, store.WindowDefault, apiserver.Config{Report: func(p any, stack []byte) { t.Errorf("panic: %v\n%s", p, stack) }})
	c.logs["web/web"] = "hello\n"
	url := c.serve(t).URL
	cache := t.TempDir()
	for _, step := range []struct{ args, in, want string }{
		{"get namespaces", "", "default   Active"},
		{"run web --image=nginx:1.27", "", "pod/web created"},
		{"get pods -o wide", "", "NOMINATED NODE"},
		{"get pod web -o yaml", "", "image: nginx:1.27"},
		{"label pod web tier=front", "", "pod/web labeled"},
		{"get pods -l tier=front -o name", "", "pod/web"},
		{"get pods --field-selector spec.nodeName=n", "", "No resources found"},
		{"apply -f -", deploymentYAML, "deployment.apps/web created"},
		{"apply -f -", strings.Replace(deploymentYAML, "replicas: 2", "replicas: 3", 1), "deployment.apps/web configured"},
		{"scale deployment web --replicas=4", "", "deployment.apps/web scaled"},
		{"apply --server-side -f -", deploymentYAML, "Apply failed with 1 conflict"},
		{"apply --server-side --force-conflicts -f -", deploymentYAML, "serverside-applied"},
		{"diff -f -", strings.Replace(deploymentYAML, "replicas: 2", "replicas: 9", 1), "+  replicas: 9"},
		{"explain pod.spec.containers.image", "", "Container image name"},
		{"create -f -", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndat: {}\n", `unknown field "dat"`},
		{"auth can-i create pods", "", "yes"},
		{"auth whoami", "", "system:anonymous"},
		{"patch deployment web --type=json -p=[{\"op\":\"remove\",\"path\":\"/metadata/labels/app\"}]", "", "deployment.apps/web patched"},
		{"describe deployment web", "", "Replicas:"},
		{"wait --for=jsonpath={.spec.replicas}=2 deployment/web --timeout=5s", "", "condition met"},
		{"delete deployment web", "", `"web" deleted`},
		{"delete pods --all", "", `pod "web" deleted`},
		{"get all", "", "No resources found"},
	} {
		cmd := exec.Command(path, append([]string{"--server", url, "--cache-dir", cache}, strings.Fields(step.args)...)...)
		cmd.Stdin = strings.NewReader(step.in)
		cmd.Env = append(os.Environ(), "KUBECONFIG=/dev/null", "HOME="+cache)
		out, _ := cmd.CombinedOutput() // its status is part of what is wanted: a diff is a 1
		require.Contains(t, string(out), step.want, "kubectl %s", step.args)
	}
}

const deploymentYAML = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1.27"}]}
`
