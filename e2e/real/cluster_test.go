package real

import (
	"testing"
)

// TestCluster is what people do with a cluster, one after the other, each in a namespace
// of its own.
func TestCluster(t *testing.T) {
	need(t)
	t.Parallel()
	c := newLab(t, 3)
	for _, test := range []struct {
		name string
		do   func(c *cluster, namespace string)
	}{
		{"kubectl", testKubectl},
		{"services", testServices},
		{"names", testNames},
		{"rollout", testRollout},
		{"trouble", testTrouble},
		{"joining", testJoining},
		{"intruder", testIntruder},
		{"agentrestart", testAgentRestart},
		{"serverrestart", testServerRestart},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := c.with(t)
			c.namespace(test.name)
			test.do(c, test.name)
			c.kubectl("delete", "namespace", test.name, "--timeout=60s")
		})
	}
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
