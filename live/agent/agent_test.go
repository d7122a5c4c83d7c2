package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

func TestPodRuns(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.run(`
metadata: {name: a}
spec:
  containers:
  - {name: c, command: [sh, -c, "echo hello from $HOSTNAME; trap 'echo bye; exit 0' TERM; while :; do sleep 0.01; done"]}
`)
	p := h.untilPhase("a", corev1.PodRunning)
	require.Equal(t, "10.244.1.2", p.Status.PodIP)
	require.Equal(t, hostIP, p.Status.HostIP)
	h.untilLog("a", "c", 0, "hello from a\n")
	hosts := h.exec("a", "c", "cat /etc/hosts /etc/resolv.conf /etc/hostname; ip route; id")
	for _, want := range []string{"10.244.1.2\ta\n", "nameserver 10.96.0.10\n", "search default.svc.cluster.local svc.cluster.local cluster.local", "options ndots:5\n", "default via 10.244.1.1", "uid=0"} {
		require.Contains(t, hosts, want)
	}
	require.Equal(t, []string{"Normal Pulled: Container image \"seatrial.test/busybox:1\" already present on machine and can be accessed by the pod",
		"Normal Created: Container created", "Normal Started: Container started"}, h.eventsInOrder("a", 3))
	h.delete("a")
	h.untilClean("a")
	n := h.node()
	require.Equal(t, "True", conditionOf(n, corev1.NodeReady))
	require.Equal(t, int32(10250), n.Status.DaemonEndpoints.KubeletEndpoint.Port)
	require.Equal(t, "110", n.Status.Capacity.Pods().String())
	h.Until("the lease", func() bool {
		return h.Get(kinds.Ref{Kind: kinds.Lease, Key: kinds.Key{Namespace: "kube-node-lease", Name: "n1"}}) != nil
	})
}

func conditionOf(n *corev1.Node, kind corev1.NodeConditionType) string {
	for _, c := range n.Status.Conditions {
		if c.Type == kind {
			return string(c.Status)
		}
	}
	return ""
}

func TestContainerIsTold(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "m"}, Data: map[string]string{"K": "of-map", "file.conf": "x=1\n"}})
	h.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "s"}, Data: map[string][]byte{"P": []byte("hush")}})
	h.Create(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "my-db"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.7.7", Ports: []corev1.ServicePort{{Port: 5432}}}})
	h.run(`
metadata: {name: a, labels: {app: told}}
spec:
  securityContext: {runAsUser: 1000, fsGroup: 2000}
  serviceAccountName: default
  volumes:
  - {name: m, configMap: {name: m}}
  - {name: s, secret: {secretName: s, defaultMode: 256}}
  - {name: d, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - {name: e, emptyDir: {}}
  - {name: mem, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - name: kube-api-access
    projected:
      sources:
      - {serviceAccountToken: {path: token, expirationSeconds: 3607}}
      - {configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}}
      - {downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}}
  containers:
  - name: c
    command: [sleep, "1000"]
    resources: {limits: {cpu: 500m, memory: 64Mi}}
    envFrom: [{configMapRef: {name: m}}, {secretRef: {name: none, optional: true}}]
    env:
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: P, valueFrom: {secretKeyRef: {name: s, key: P}}}
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}
    - {name: BOTH, value: "$(K)-$(MY_DB_SERVICE_HOST)-$$(K)"}
    volumeMounts:
    - {name: m, mountPath: /m}
    - {name: m, mountPath: /one/file.conf, subPath: file.conf}
    - {name: s, mountPath: /s}
    - {name: d, mountPath: /d}
    - {name: e, mountPath: /e}
    - {name: mem, mountPath: /mem}
    - {name: kube-api-access, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}
`)
	h.untilPhase("a", corev1.PodRunning)
	env := h.exec("a", "c", "env; id")
	for _, want := range []string{"K=of-map\n", "IP=10.244.1.2\n", "P=hush\n", "CPU=500\n", "BOTH=of-map-10.96.7.7-$(K)\n", "MY_DB_SERVICE_PORT=5432\n",
		"KUBERNETES_SERVICE_PORT=443\n", "OF_IMAGE=1\n", "HOSTNAME=a\n", "uid=1000(web) gid=1001(web) groups=1002(staff),2000"} {
		require.Contains(t, env, want)
	}
	files := h.exec("a", "c", `cat /m/file.conf /one/file.conf /s/P /d/labels; echo; touch /e/x /mem/x; ls -ln /e/x | cut -d' ' -f1-20; stat -Lc '%a %u %g' /s/P; df /mem | tail -1;
cd /var/run/secrets/kubernetes.io/serviceaccount; cat namespace; echo; head -1 ca.crt; cut -c1-3 token; stat -Lc %a token; echo x 2>/dev/null > /m/no || echo read-only`)
	for _, want := range []string{"x=1\nx=1\nhush", `app="told"`, "2000", "440 1000 2000\n", "1024", "default\n-----BEGIN CERTIFICATE-----\neyJ\n640\nread-only"} {
		require.Contains(t, files, want)
	}
	h.delete("a")
	h.untilClean("a")
}

func TestProbesAndHooks(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.run(`
metadata: {name: a}
spec:
  terminationGracePeriodSeconds: 20
  initContainers:
  - {name: i, command: [sh, -c, "echo init >> /v/order"], volumeMounts: [{name: v, mountPath: /v}]}
  volumes: [{name: v, emptyDir: {}}]
  containers:
  - name: c
    command: [sh, -c, "trap 'echo TERM >> /v/order; sleep 0.2; cat /v/order; exit 3' TERM; echo main >> /v/order; httpd -p 8080 -h /www; while :; do sleep 0.01; done"]
    volumeMounts: [{name: v, mountPath: /v}]
    ports: [{name: web, containerPort: 8080}]
    startupProbe: {tcpSocket: {port: web}, periodSeconds: 1}
    readinessProbe: {httpGet: {path: /index.html, port: web}, periodSeconds: 1, failureThreshold: 1}
    livenessProbe: {exec: {command: [test, '!', -e, /tmp/sick]}, periodSeconds: 1, failureThreshold: 1}
    lifecycle:
      postStart: {exec: {command: [sh, -c, "echo postStart >> /v/order"]}}
      preStop: {exec: {command: [sh, -c, "echo preStop >> /v/order"]}}
`)
	h.Until("ready", func() bool { return isReady(h.pod("a")) })
	h.exec("a", "c", "mv /www/index.html /www/away")
	h.Until("not ready", func() bool { return !isReady(h.pod("a")) })
	h.untilEvent("a", "Warning Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 404")
	h.exec("a", "c", "mv /www/away /www/index.html")
	h.Until("ready again", func() bool { return isReady(h.pod("a")) })

	h.exec("a", "c", "touch /tmp/sick")
	h.untilEvent("a", "Warning Unhealthy: Liveness probe failed")
	h.Until("restarted", func() bool { return h.pod("a").Status.ContainerStatuses[0].RestartCount == 1 })
	last := h.pod("a").Status.ContainerStatuses[0].LastTerminationState.Terminated
	require.Equal(t, int32(3), last.ExitCode)
	require.Equal(t, "init\nmain\npostStart\npreStop\nTERM\n", strings.ReplaceAll(h.log("a", "c", 0), "postStart\nmain", "main\npostStart"))
	h.delete("a")
}

func isReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func TestEnds(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.run(`
metadata: {name: done}
spec:
  restartPolicy: Never
  containers: [{name: c, command: [sh, -c, "echo fine > /dev/termination-log"]}]
`)
	h.run(`
metadata: {name: bad}
spec:
  restartPolicy: Never
  containers: [{name: c, command: [sh, -c, "echo last words; exit 7"], terminationMessagePolicy: FallbackToLogsOnError}]
`)
	h.run(`
metadata: {name: oom}
spec:
  restartPolicy: Never
  containers: [{name: c, command: [tail, /dev/zero], resources: {limits: {memory: 16Mi}}}]
`)
	h.run(`
metadata: {name: nothing}
spec:
  restartPolicy: Never
  containers: [{name: c, command: [no-such-program]}]
`)
	h.run(`
metadata: {name: crash}
spec:
  containers: [{name: c, command: [sh, -c, exit 1]}]
`)
	end := func(p *corev1.Pod) *corev1.ContainerStateTerminated {
		return p.Status.ContainerStatuses[0].State.Terminated
	}
	require.Equal(t, "fine\n", end(h.untilPhase("done", corev1.PodSucceeded)).Message)
	x := end(h.untilPhase("bad", corev1.PodFailed))
	require.Equal(t, "Error 7 last words\n", fmt.Sprintf("%s %d %s", x.Reason, x.ExitCode, x.Message))
	x = end(h.untilPhase("oom", corev1.PodFailed))
	require.Equal(t, "OOMKilled 137", fmt.Sprintf("%s %d", x.Reason, x.ExitCode))
	x = end(h.untilPhase("nothing", corev1.PodFailed))
	require.Equal(t, "StartError 128", fmt.Sprintf("%s %d", x.Reason, x.ExitCode))
	require.Contains(t, x.Message, "no-such-program")
	h.Until("CrashLoopBackOff", func() bool {
		w := h.pod("crash").Status.ContainerStatuses[0].State.Waiting
		return w != nil && w.Reason == "CrashLoopBackOff"
	})
	require.Equal(t, "last words\n", h.log("bad", "c", 0), "logs stay with the pod's object")
	for _, name := range []string{"done", "bad", "oom", "nothing", "crash"} {
		h.delete(name)
		h.untilClean(name)
	}
}

func TestCannotStart(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.run(`
metadata: {name: image}
spec: {containers: [{name: c, image: "127.0.0.1:1/no/such:1"}]}
`)
	h.run(`
metadata: {name: key}
spec: {containers: [{name: c, command: [sleep, "1000"], env: [{name: A, valueFrom: {configMapKeyRef: {name: later, key: k}}}]}]}
`)
	h.run(`
metadata: {name: volume}
spec:
  volumes: [{name: v, configMap: {name: later}}]
  containers: [{name: c, command: [sleep, "1000"]}]
`)
	h.run(`
metadata: {name: nfs}
spec:
  volumes: [{name: v, nfs: {server: x, path: /}}]
  containers: [{name: c, command: [sleep, "1000"]}]
`)
	h.run(`
metadata: {name: root}
spec:
  securityContext: {runAsNonRoot: true}
  containers: [{name: c, command: [sleep, "1000"]}]
`)
	waits := func(name, reason string) {
		t.Helper()
		h.Until(name+" waits for "+reason, func() bool {
			p := h.pod(name)
			return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Waiting != nil && p.Status.ContainerStatuses[0].State.Waiting.Reason == reason
		})
	}
	waits("image", "ErrImagePull")
	waits("image", "ImagePullBackOff")
	h.untilEvent("image", `Normal BackOff: Back-off pulling image "127.0.0.1:1/no/such:1"`)
	waits("key", "CreateContainerConfigError")
	h.untilEvent("key", `Warning Failed: Error: configmap "later" not found`)
	h.untilEvent("volume", `Warning FailedMount: MountVolume.SetUp failed for volume "v" : configmap "later" not found`)
	waits("volume", "ContainerCreating")
	h.untilEvent("nfs", `Warning FailedMount: MountVolume.SetUp failed for volume "v" : volumes of kind nfs are not supported`)
	waits("root", "CreateContainerConfigError")
	h.untilEvent("root", `Warning Failed: Error: container has runAsNonRoot and image will run as root (pod: "root_default(`)
	h.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "later"}, Data: map[string]string{"k": "v"}})
	h.untilPhase("volume", corev1.PodRunning)
	h.untilPhase("key", corev1.PodRunning)
	for _, name := range []string{"image", "nfs", "root", "volume"} {
		h.delete(name)
		h.untilClean(name)
	}
}

// TestHostileSubPath lets one container of a pod put links where another is to have a
// subPath.
func TestHostileSubPath(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("of the host"), 0o600))
	h.run(fmt.Sprintf(`
metadata: {name: a}
spec:
  restartPolicy: Never
  volumes: [{name: v, emptyDir: {}}]
  initContainers:
  - {name: evil, command: [sh, -c, "ln -s / /v/root; ln -s %s /v/file; ln -s ../../../../../.. /v/up"], volumeMounts: [{name: v, mountPath: /v}]}
  containers:
  - {name: c, command: [cat, /in%s], volumeMounts: [{name: v, mountPath: /in, subPath: root}]}
  - {name: d, command: [cat, /in], volumeMounts: [{name: v, mountPath: /in, subPath: file}]}
  - {name: e, command: [ls, /in], volumeMounts: [{name: v, mountPath: /in, subPath: up}]}
`, secret, secret))
	p := h.untilPhase("a", corev1.PodFailed)
	for _, s := range p.Status.ContainerStatuses {
		require.NotNil(t, s.State.Terminated, s.Name)
		require.Equal(t, "StartError", s.State.Terminated.Reason, s.Name)
		require.Contains(t, s.State.Terminated.Message, "subPath")
	}
	h.delete("a")
	h.untilClean("a")
}

func TestSharedNamespaces(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.run(`
metadata: {name: shares}
spec:
  shareProcessNamespace: true
  containers:
  - {name: a, command: [sleep, "1234"]}
  - {name: b, command: [sleep, "1000"], securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}
`)
	h.run(`
metadata: {name: hosts}
spec:
  hostNetwork: true
  hostPID: true
  hostIPC: true
  containers: [{name: c, command: [sleep, "1000"]}]
`)
	h.untilPhase("shares", corev1.PodRunning)
	out := h.exec("shares", "b", "ps; grep -e CapBnd -e NoNewPrivs /proc/self/status; touch /x || echo read-only; echo x > /proc/sys/kernel/hostname || true")
	for _, want := range []string{"sleep 1234", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "read-only"} {
		require.Contains(t, out, want)
	}
	p := h.untilPhase("hosts", corev1.PodRunning)
	require.Equal(t, hostIP, p.Status.PodIP)
	require.Contains(t, h.exec("hosts", "c", "ip addr; ps"), hostIP)
	for _, name := range []string{"shares", "hosts"} {
		h.delete(name)
		h.untilClean(name)
	}
}

func TestAdoption(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.run(`
metadata: {name: stays}
spec:
  initContainers: [{name: i, command: ["true"]}]
  containers: [{name: c, command: [sleep, "1000"], readinessProbe: {exec: {command: ["true"]}, periodSeconds: 1}}]
`)
	h.run(`
metadata: {name: ends}
spec:
  restartPolicy: Never
  containers: [{name: c, command: [sh, -c, "while ! test -e /tmp/end; do sleep 0.01; done; echo bye > /dev/termination-log; exit 5"]}]
`)
	h.run(`
metadata: {name: leaves}
spec: {containers: [{name: c, command: [sleep, "1000"]}]}
`)
	h.Until("ready", func() bool { return isReady(h.pod("stays")) && isReady(h.pod("ends")) && isReady(h.pod("leaves")) })
	before := h.pod("stays").Status.ContainerStatuses[0]
	c := h.agent.Runtime()
	_, id, ok := h.agent.Find("default", "ends", "c")
	require.True(t, ok)
	pod, err := c.Get(h.ctx, id.Pod)
	require.NoError(t, err)
	gone := string(h.pod("leaves").UID)
	h.stop()

	root := fmt.Sprintf("/proc/%d/root/tmp/end", pod.Containers[0].PID)
	require.NoError(t, os.WriteFile(root, nil, 0o644))
	require.Eventually(t, func() bool { _, err := os.Stat(fmt.Sprintf("/proc/%d", pod.Containers[0].PID)); return err != nil }, eventMax, 5*time.Millisecond)
	force := api.Delete(kinds.Ref{Kind: kinds.Pod, Key: kinds.Key{Namespace: "default", Name: "leaves"}}, "")
	force.Grace = 0
	h.Write(force)

	h.start()
	x := h.untilPhase("ends", corev1.PodFailed).Status.ContainerStatuses[0].State.Terminated
	require.Equal(t, "Error 5 bye\n", fmt.Sprintf("%s %d %s", x.Reason, x.ExitCode, x.Message))
	require.Eventually(t, func() bool { return !h.anythingOf(gone) }, eventMax, 5*time.Millisecond)
	after := h.pod("stays").Status.ContainerStatuses[0]
	require.Equal(t, before, after, "what runs is not touched")
	h.exec("stays", "c", "true")
	h.delete("stays")
	h.untilClean("stays")
	h.untilEvent("stays", "Normal Killing: Stopping container c")
	created := 0
	for _, e := range h.Events("stays") {
		if strings.HasPrefix(e, "Normal Created") {
			created++
		}
	}
	require.Equal(t, 2, created, "of its life")
}
