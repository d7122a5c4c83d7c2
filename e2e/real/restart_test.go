package real

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/live/client"
	"seatrial.dev/seatrial/live/lab"
	"seatrial.dev/seatrial/live/testbed"
)

// testAgentRestart kills an agent under its pods, and lets one of them end meanwhile.
func testAgentRestart(c *cluster, ns string) {
	c.apply(ns, `
apiVersion: v1
kind: Pod
metadata: {name: counts}
spec:
  nodeName: node-0
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "`+busybox+`", command: [sh, -c, "i=0; while true; do echo $i; i=$((i+1)); sleep 0.1; done"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: ends}
spec:
  nodeName: node-0
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "`+busybox+`", command: [sh, -c, "nc -l -p 9000 >/dev/null </dev/null; echo asked to end; exit 7"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: goes}
spec:
  nodeName: node-0
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "`+busybox+`", command: [sleep, "1000"]}]
`)
	c.kubectl("wait", "-n", ns, "--for=condition=Ready", "pod", "--all", "--timeout=60s")
	// When process 1 of a container started tells it from any other.
	began := func() string {
		return c.kubectl("exec", "-n", ns, "counts", "--", "sh", "-c", "cut -d' ' -f22 /proc/1/stat")
	}
	count := func() int {
		n, err := strconv.Atoi(strings.TrimSpace(c.kubectl("logs", "-n", ns, "counts", "--tail=1")))
		require.NoError(c.t, err)
		return n
	}
	before, counted := began(), count()
	id := c.pod(ns, "counts").Status.ContainerStatuses[0].ContainerID
	c.order(func(ctx context.Context, l *lab.Lab) error { return l.KillService(ctx, "node-0", testbed.Agent) })
	c.endByCall("node-0", c.pod(ns, "ends").Status.PodIP)
	c.kubectl("delete", "pod", "-n", ns, "goes", "--wait=false")
	c.order(func(ctx context.Context, l *lab.Lab) error { return l.StartService(ctx, "node-0", testbed.Agent) })
	until(c.t, eventMax, "what ended meanwhile is told", func() error {
		s := c.pod(ns, "ends").Status
		if e := s.ContainerStatuses[0].State.Terminated; s.Phase != corev1.PodFailed || e == nil || e.ExitCode != 7 {
			return fmt.Errorf("phase %s, %+v", s.Phase, s.ContainerStatuses[0].State)
		}
		return nil
	})
	c.kubectl("wait", "-n", ns, "--for=delete", "pod/goes", "--timeout=60s")
	c.untilNode("node-0", corev1.ConditionTrue, eventMax)
	require.Equal(c.t, "asked to end\n", c.kubectl("logs", "-n", ns, "ends"))
	require.Equal(c.t, before, began(), "the same process")
	s := c.pod(ns, "counts").Status.ContainerStatuses[0]
	require.Zero(c.t, s.RestartCount)
	require.Equal(c.t, id, s.ContainerID)
	require.True(c.t, s.Ready)
	require.Greater(c.t, count(), counted, "its log goes on")
	all := strings.Fields(c.kubectl("logs", "-n", ns, "counts"))
	for i, n := range all {
		require.Equal(c.t, strconv.Itoa(i), n, "no line is lost")
	}
}

// endByCall connects to a pod from its host, upon which it ends.
func (c *cluster) endByCall(host, ip string) {
	r := c.on(host, "busybox", "nc", "-w", "2", ip, "9000")
	require.Zero(c.t, r.code, "%s", r)
	until(c.t, eventMax, "the pod's process has ended", func() error {
		if r := c.on(host, "busybox", "nc", "-w", "2", ip, "9000"); r.code == 0 {
			return errors.New("it still answers")
		}
		return nil
	})
}

// Of testServerRestart.
const (
	writers   = 8
	perKill   = 150 // acknowledged writes after which the server is killed
	killTimes = 2
)

// testServerRestart kills the server while many write, and reads all back that it has
// acknowledged.
func testServerRestart(c *cluster, ns string) {
	c.apply(ns, web("web", "2", ""))
	c.kubectl("rollout", "status", "-n", ns, "deployment/web", "--timeout=60s")
	acknowledged := map[string]bool{}
	for round := range killTimes {
		ctx, stop := context.WithCancel(c.t.Context())
		var mu sync.Mutex
		var all sync.WaitGroup
		enough := make(chan struct{})
		for w := range writers {
			all.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					name := fmt.Sprintf("r%d-w%d-%d", round, w, n)
					if !c.write(ctx, ns, name) {
						continue
					}
					mu.Lock()
					acknowledged[name] = true
					if len(acknowledged) == perKill*(2*round+1) {
						close(enough)
					}
					mu.Unlock()
				}
			})
		}
		<-enough
		killed := time.Now()
		c.order(func(ctx context.Context, l *lab.Lab) error { return l.KillService(ctx, controlPlane, testbed.Server) })
		c.order(func(ctx context.Context, l *lab.Lab) error { return l.StartService(ctx, controlPlane, testbed.Server) })
		mu.Lock()
		at := len(acknowledged)
		mu.Unlock()
		until(c.t, eventMax, "writes are acknowledged again", func() error {
			mu.Lock()
			defer mu.Unlock()
			if len(acknowledged) < at+perKill/2 {
				return fmt.Errorf("%d, %d when it was killed", len(acknowledged), at)
			}
			return nil
		})
		c.t.Logf("killed at %d writes; half as many more acknowledged %v later", at, time.Since(killed).Round(time.Millisecond))
		stop()
		all.Wait()
	}
	list, _, err := c.api.List(c.t.Context(), kinds.ConfigMap, client.Selection{Namespace: ns})
	require.NoError(c.t, err)
	there := map[string]bool{}
	for _, o := range list {
		there[o.GetName()] = o.(*corev1.ConfigMap).Data["k"] == o.GetName()
	}
	for name := range acknowledged {
		require.True(c.t, there[name], "%s was acknowledged", name)
	}
	c.t.Logf("%d acknowledged writes read back", len(acknowledged))
	c.kubectl("scale", "-n", ns, "deployment/web", "--replicas=5")
	c.kubectl("rollout", "status", "-n", ns, "deployment/web", "--timeout=60s")
	for i := range 3 {
		c.untilNode(nodeName(i), corev1.ConditionTrue, eventMax)
	}
	restarts := c.kubectl("get", "pods", "-n", ns, "-o", "jsonpath={.items[*].status.containerStatuses[0].restartCount}")
	require.Equal(c.t, "0 0 0 0 0", restarts)
}

// write makes one object, and says whether that was acknowledged.
func (c *cluster) write(ctx context.Context, ns, name string) bool {
	_, err := c.api.Do(ctx, api.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Data: map[string]string{"k": name}}))
	if err == nil {
		return true
	}
	// While the server is down there is nobody to say no.
	if s := (apierrors.APIStatus)(nil); ctx.Err() == nil && errors.As(err, &s) && !apierrors.IsAlreadyExists(err) && s.Status().Code < 500 && s.Status().Code != 0 {
		c.t.Errorf("write %s: %v", name, err)
	}
	var d net.Dialer
	if conn, err := d.DialContext(ctx, "tcp", strings.TrimPrefix(c.server(), "https://")); err == nil {
		conn.Close()
	}
	return false
}
