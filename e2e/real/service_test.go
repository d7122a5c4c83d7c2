package real

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/live/client"
	"seatrial.dev/seatrial/live/lab"
)

var hostOf = regexp.MustCompile(`HOSTNAME=(\S+)`)

// hostAsk is the program ask as hosts see it; pods have it in their PATH.
const hostAsk = lab.BinDir + "/ask"

// from asks a URL in a pod, once, and answers the pod that answered; "" if none did.
func (c *cluster) from(ns, pod, url string) (host string, r result) {
	r = c.try("", "exec", "-n", ns, pod, "--", "ask", url)
	if m := hostOf.FindStringSubmatch(r.out); m != nil && r.code == 0 {
		return m[1], r
	}
	return "", r
}

func (c *cluster) answers(ns, pod, url string) string {
	c.t.Helper()
	host := ""
	until(c.t, eventMax, pod+" asks "+url, func() error {
		var r result
		if host, r = c.from(ns, pod, url); host == "" {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	return host
}

func (c *cluster) service(ns, name string) *corev1.Service {
	s, err := client.Get[*corev1.Service](c.t.Context(), c.api, kinds.Ref{Kind: kinds.Service, Key: kinds.Key{Namespace: ns, Name: name}})
	require.NoError(c.t, err)
	return s
}

const externalIP = "192.0.2.99"

func testServices(c *cluster, ns string) {
	var shells string
	for i := range 3 {
		shells += shell("sh-"+strconv.Itoa(i), nodeName(i))
	}
	c.apply(ns, shells+web("web", "3", "  type: NodePort\n  externalIPs: ["+externalIP+"]\n")+
		web("sticky", "3", "  sessionAffinity: ClientIP\n")+web("lonely", "1", "")+`
---
{apiVersion: v1, kind: Service, metadata: {name: nobody}, spec: {selector: {app: nobody}, ports: [{port: 80}]}}
`)
	for _, d := range []string{"web", "sticky", "lonely"} {
		c.kubectl("rollout", "status", "-n", ns, "deployment/"+d, "--timeout=60s")
	}
	c.kubectl("wait", "-n", ns, "--for=condition=Ready", "pod", "--all", "--timeout=60s")
	svc := c.service(ns, "web")
	vip, port := svc.Spec.ClusterIP, strconv.Itoa(int(svc.Spec.Ports[0].NodePort))

	for i := range 3 {
		c.answers(ns, "sh-"+strconv.Itoa(i), "http://"+vip)
		c.answers(ns, "sh-"+strconv.Itoa(i), "http://"+externalIP)
		for _, at := range []string{vip, externalIP, c.addr(i) + ":" + port} {
			r := c.on(nodeName(i), hostAsk, "http://"+at)
			require.Contains(c.t, r.out, "HOSTNAME=web-", "from host %d by %s: %s", i, at, r)
		}
		require.Contains(c.t, fetch(c.t, "http://"+c.addr(i)+":"+port), "HOSTNAME=web-", "from this machine")
	}
	seen := map[string]bool{}
	for range 60 {
		seen[hostOf.FindStringSubmatch(fetch(c.t, "http://"+c.addr(0)+":"+port))[1]] = true
	}
	require.Len(c.t, seen, 3, "every pod has its share")

	first := c.answers(ns, "sh-0", "http://sticky")
	loop := c.kubectl("exec", "-n", ns, "sh-0", "--", "ask", "--times", "20", "http://sticky")
	require.Equal(c.t, 20, strings.Count(loop, "HOSTNAME="+first), loop)

	testHairpin(c, ns)
	testByHand(c, ns)

	began := time.Now()
	r := c.try("", "exec", "-n", ns, "sh-0", "--", "ask", "--timeout", "20s", "http://nobody")
	require.NotZero(c.t, r.code)
	require.Contains(c.t, r.err, "refused")
	require.Less(c.t, time.Since(began), 5*time.Second, "at once")
	testMatrix(c, ns)
}

// testHairpin has a pod reach itself through its service.
func testHairpin(c *cluster, ns string) {
	vip := c.service(ns, "lonely").Spec.ClusterIP
	pod := c.kubectl("get", "pods", "-n", ns, "-l", "app=lonely", "-o", "jsonpath={.items[0].metadata.name}")
	c.apply(ns, `
apiVersion: v1
kind: Pod
metadata: {name: self, labels: {app: self}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: web, image: "seatrial.dev/demo/web:v1"}
  - {name: c, image: "`+busybox+`", command: [sleep, "100000"]}
---
{apiVersion: v1, kind: Service, metadata: {name: self}, spec: {selector: {app: self}, ports: [{port: 80, targetPort: 8080}]}}
`)
	c.kubectl("wait", "-n", ns, "--for=condition=Ready", "pod/self", "--timeout=60s")
	self := c.service(ns, "self").Spec.ClusterIP
	until(c.t, eventMax, "a pod reaches itself through its service", func() error {
		r := c.try("", "exec", "-n", ns, "self", "-c", "c", "--", "ask", "http://"+self)
		if !strings.Contains(r.out, "HOSTNAME=self") {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	require.Contains(c.t, c.kubectl("exec", "-n", ns, "self", "-c", "c", "--", "ask", "http://"+vip), "HOSTNAME="+pod)
}

// testByHand has a service without a selector lead where the Endpoints written for it say,
// as long as they do.
func testByHand(c *cluster, ns string) {
	pods := strings.Fields(c.kubectl("get", "pods", "-n", ns, "-l", "app=web", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.podIP}{"\n"}{end}`))
	require.Len(c.t, pods, 3)
	c.apply(ns, "{apiVersion: v1, kind: Service, metadata: {name: by-hand}, spec: {ports: [{port: 80}]}}")
	vip := c.service(ns, "by-hand").Spec.ClusterIP
	for _, pod := range pods[:2] { // the second time they are changed
		name, ip, _ := strings.Cut(pod, "=")
		c.apply(ns, "{apiVersion: v1, kind: Endpoints, metadata: {name: by-hand}, subsets: [{addresses: [{ip: "+ip+"}], ports: [{port: 8080}]}]}")
		for _, url := range []string{"http://" + vip, "http://by-hand." + ns + ".svc.cluster.local"} {
			until(c.t, eventMax, name+" answers at "+url, func() error {
				if host, r := c.from(ns, "sh-0", url); host != name {
					return fmt.Errorf("%s", r)
				}
				return nil
			})
		}
	}
	c.kubectl("delete", "endpoints", "by-hand", "-n", ns)
	until(c.t, eventMax, "nobody answers at "+vip, func() error {
		if r := c.try("", "exec", "-n", ns, "sh-0", "--", "ask", "http://"+vip); r.code == 0 || !strings.Contains(r.err, "refused") {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
}

// testMatrix has every pod of every node reach every other, and every node's own address.
func testMatrix(c *cluster, ns string) {
	list, _, err := c.api.List(c.t.Context(), kinds.Pod, client.Selection{Namespace: ns})
	require.NoError(c.t, err)
	var urls, asks []string
	for _, o := range list {
		p := o.(*corev1.Pod)
		switch {
		case strings.HasPrefix(p.Name, "sh-"):
			asks = append(asks, p.Name)
		case p.Status.PodIP != "":
			urls = append(urls, "http://"+p.Status.PodIP+":8080")
		}
	}
	require.NotEmpty(c.t, asks)
	require.NotEmpty(c.t, urls)
	for _, ask := range asks {
		out := c.kubectl(append([]string{"exec", "-n", ns, ask, "--", "ask"}, urls...)...)
		require.Equal(c.t, len(urls), strings.Count(out, "HOSTNAME="), "%s: %s", ask, out)
		// What is not translated shows the pod's own address.
		own := c.pod(ns, ask).Status.PodIP
		require.Equal(c.t, len(urls), strings.Count(out, "CLIENT="+own+":"), "%s: %s", ask, out)
	}
}

// TestVXLAN reaches pods of other hosts in a tunnel.
func TestVXLAN(t *testing.T) {
	t.Parallel()
	c := newLab(t, 3, "--network-mode", "vxlan")
	require.Contains(t, c.on("node-0", "ip", "-d", "link").out, "vxlan")
	c.namespace("v")
	c.apply("v", shell("sh-0", "node-0")+shell("sh-1", "node-1")+shell("sh-2", "node-2")+web("web", "3", "  type: NodePort\n"))
	c.kubectl("rollout", "status", "-n", "v", "deployment/web", "--timeout=60s")
	c.kubectl("wait", "-n", "v", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
	testMatrix(c, "v")
	svc := c.service("v", "web")
	for i := range 3 {
		c.answers("v", "sh-"+strconv.Itoa(i), "http://web.v.svc.cluster.local")
		url := fmt.Sprintf("http://%s:%d", c.addr(i), svc.Spec.Ports[0].NodePort)
		for range 6 {
			require.Contains(t, fetch(t, url), "HOSTNAME=web-")
		}
		for range 6 {
			require.Contains(t, c.on(nodeName(i), hostAsk, "http://"+svc.Spec.ClusterIP).out, "HOSTNAME=web-")
		}
	}
}

func testNames(c *cluster, ns string) {
	c.apply(ns, shell("sh", "node-1")+web("web", "2", "")+`
---
{apiVersion: v1, kind: Service, metadata: {name: all}, spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 8080}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: alias}, spec: {type: ExternalName, externalName: web.`+ns+`.svc.cluster.local}}
`)
	c.kubectl("rollout", "status", "-n", ns, "deployment/web", "--timeout=60s")
	c.kubectl("wait", "-n", ns, "--for=condition=Ready", "pod/sh", "--timeout=60s")
	lookup := func(args ...string) string {
		return c.try("", append([]string{"exec", "-n", ns, "sh", "--", "nslookup"}, args...)...).out
	}
	full := "." + ns + ".svc.cluster.local"
	vip := c.service(ns, "web").Spec.ClusterIP
	require.Contains(c.t, lookup("web"+full), vip)
	require.Contains(c.t, lookup("kubernetes.default.svc.cluster.local"), "10.96.0.1")
	var ips []string
	require.NoError(c.t, json.Unmarshal([]byte("["+strings.TrimSuffix(c.kubectl("get", "pods", "-n", ns, "-l", "app=web", "-o", `jsonpath={range .items[*]}"{.status.podIP}",{end}`), ",")+"]"), &ips))
	require.Len(c.t, ips, 2)
	until(c.t, eventMax, "a headless service has its pods' addresses", func() error {
		said := lookup("all" + full)
		for _, ip := range ips {
			if !strings.Contains(said, ip) {
				return fmt.Errorf("no %s in %s", ip, said)
			}
		}
		return nil
	})
	require.Regexp(c.t, `0 \d+ 8080 \S+\.all`+regexp.QuoteMeta(full), lookup("-type=srv", "_http._tcp.all"+full))
	require.Regexp(c.t, `0 \d+ 80 web`+regexp.QuoteMeta(full), lookup("-type=srv", "_http._tcp.web"+full))
	require.Contains(c.t, lookup("alias"+full), vip)
	require.Contains(c.t, lookup(vip), "web"+full)
	for _, name := range []string{"web", "web." + ns, "web." + ns + ".svc", "web" + full, "alias", "all:8080"} {
		c.answers(ns, "sh", "http://"+name)
	}
	require.Contains(c.t, lookup("nothing"+full), "NXDOMAIN")
	require.Equal(c.t, "sh", strings.TrimSpace(c.kubectl("exec", "-n", ns, "sh", "--", "hostname")))
}
