package real

import (
	"testing"
)

// inCluster is something that people do with a cluster, in a namespace of its own.
type inCluster struct {
	name string
	do   func(c *cluster, namespace string)
}

// TestCluster is what people do with a cluster: much of it at once, and one after the
// other what must not be disturbed, or disturbs.
func TestCluster(t *testing.T) {
	need(t)
	t.Parallel()
	c := newLab(t, 3)
	t.Run("together", func(t *testing.T) {
		for _, test := range []inCluster{
			{"kubectl", testKubectl},
			{"services", testServices},
			{"names", testNames},
			{"trouble", testTrouble},
			{"joining", testJoining},
			{"intruder", testIntruder},
		} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				c.with(t).play(test)
			})
		}
	})
	for _, test := range []inCluster{
		{"rollout", testRollout},
		{"agentrestart", testAgentRestart},
		{"serverrestart", testServerRestart},
	} {
		t.Run(test.name, func(t *testing.T) { c.with(t).play(test) })
	}
}

func (c *cluster) play(test inCluster) {
	c.namespace(test.name)
	test.do(c, test.name)
	c.kubectl("delete", "namespace", test.name, "--timeout=60s")
}

// shell is a pod of busybox that does nothing, on a node.
func shell(name, node string) string {
	return `
---
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `, labels: {app: ` + name + `}}
spec:
  nodeName: ` + node + `
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: "` + busybox + `", command: [sleep, "100000"]}
`
}

// web is a deployment of pods that tell their names, and a service for it. extra is put
// into the service's spec.
func web(name, replicas, extra string) string {
	return `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ` + name + `}
spec:
  replicas: ` + replicas + `
  selector: {matchLabels: {app: ` + name + `}}
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: ` + name + `}}
    spec:
      terminationGracePeriodSeconds: 10
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: ` + name + `}}}
      containers:
      - name: web
        image: seatrial.dev/demo/web:v1
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 2}}}
---
apiVersion: v1
kind: Service
metadata: {name: ` + name + `}
spec:
  selector: {app: ` + name + `}
  ports: [{name: http, port: 80, targetPort: http}]
` + extra
}
