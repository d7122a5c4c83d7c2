package real

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/live/client"
	"seatrial.dev/seatrial/live/lab"
	"seatrial.dev/seatrial/live/testbed"
	"seatrial.dev/seatrial/scenarios"
)

// How long is waited for what must come.
const (
	eventMax  = 60 * time.Second
	callMax   = 3 * time.Minute // for one call of a program
	askEvery  = 20 * time.Millisecond
	noticeMax = 7 * time.Second  // from the end of a host to its node being not ready
	goneMax   = 10 * time.Second // from the end of lab down to nothing of the lab being left
)

// result is what a call of a program said and how it ended.
type result struct {
	out, err string
	code     int
}

func (r result) String() string { return fmt.Sprintf("exit %d\n%s%s", r.code, r.out, r.err) }

// call runs a program to its end.
func call(t testing.TB, stdin, program string, args ...string) result {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), callMax)
	defer stop()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Errorf("%s %q: %v", program, args, err)
		return result{code: -1}
	}
	if ctx.Err() != nil {
		t.Errorf("%s %q did not end within %v", filepath.Base(program), args, callMax)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// until asks until there is no error.
func until(t testing.TB, within time.Duration, what string, ask func() error) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	again := time.NewTicker(askEvery)
	defer again.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			require.NoError(t, err, "%s, within %v", what, within)
		case <-again.C:
		}
	}
}

// place is where a lab is to be made: no two of this process are in each other's way.
type place struct {
	name, dir, kubeconfig string
	subnet                netip.Prefix
}

var places atomic.Int32

// newPlace numbers labs through 172.29.0.0/16, by the process too, for another call of
// these tests may be at work on the machine.
func newPlace(t testing.TB) place {
	n := int(places.Add(1))
	dir := t.TempDir()
	name := "r" + strconv.FormatInt(int64(os.Getpid()%4096), 36) + "x" + strconv.FormatInt(int64(n), 36)
	return place{name, filepath.Join(dir, "lab"), filepath.Join(dir, "kubeconfig"),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 29, byte((os.Getpid()*16 + n) % 250), 0}), 24)}
}

// upArgs are the arguments of a command that makes the lab.
func (p place) upArgs(nodes int, more ...string) []string {
	args := []string{"lab", "up", "--name", p.name, "--dir", p.dir, "--subnet", p.subnet.String(), "--nodes", strconv.Itoa(nodes), "--kubeconfig", p.kubeconfig}
	for _, i := range built.images {
		args = append(args, "--images", i)
	}
	return append(args, more...)
}

// cluster is one in a lab of its own, that is up.
type cluster struct {
	t testing.TB
	place
	bed *testbed.Testbed
	api *client.Client // as an administrator
}

// newLab brings a cluster up for as long as the test takes; then nothing may be left.
func newLab(t testing.TB, nodes int, more ...string) *cluster {
	t.Helper()
	need(t)
	p := newPlace(t)
	before := p.residue().Picture(t)
	began := time.Now()
	r := call(t, "", built.seatrial, p.upArgs(nodes, more...)...)
	require.Zero(t, r.code, "%s", r)
	t.Logf("%d nodes up in %v", nodes, time.Since(began).Round(time.Millisecond))
	c := &cluster{t: t, place: p}
	t.Cleanup(func() {
		if t.Failed() {
			c.tellLogs(t)
		}
		began := time.Now()
		r := call(t, "", built.seatrial, "lab", "down", "--dir", p.dir)
		require.Zero(t, r.code, "%s", r)
		t.Logf("down in %v", time.Since(began).Round(time.Millisecond))
		p.residue().Same(t, before, goneMax)
	})
	var err error
	c.bed, err = testbed.Open(t.Context(), p.dir)
	require.NoError(t, err)
	c.api = c.bed.Client()
	return c
}

// logsMax bounds what of a service's log is told when a test has failed.
const logsMax = 6 << 10

func (c *cluster) tellLogs(t testing.TB) {
	files, _ := filepath.Glob(filepath.Join(c.dir, "hosts", "*", "log", "*"))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err == nil && len(text) > 0 {
			t.Logf("%s:\n%s", strings.TrimPrefix(f, c.dir+"/"), text[max(0, len(text)-logsMax):])
		}
	}
}

// with is the cluster for another test that uses it.
func (c *cluster) with(t testing.TB) *cluster {
	other := *c
	other.t = t
	return &other
}

// lab runs a verb of seatrial lab, which must succeed.
func (c *cluster) lab(verb string, args ...string) string {
	c.t.Helper()
	r := call(c.t, "", built.seatrial, append([]string{"lab", verb, "--dir", c.dir}, args...)...)
	require.Zero(c.t, r.code, "lab %s %v: %s", verb, args, r)
	return r.out
}

// on runs a command on a host.
func (c *cluster) on(host string, argv ...string) result {
	return call(c.t, "", built.seatrial, append([]string{"lab", "exec", "--dir", c.dir, host, "--"}, argv...)...)
}

func (c *cluster) try(stdin string, args ...string) result {
	c.t.Helper()
	return call(c.t, stdin, built.kubectl, append([]string{"--kubeconfig", c.kubeconfig}, args...)...)
}

// kubectl must succeed, and answers what it printed.
func (c *cluster) kubectl(args ...string) string {
	c.t.Helper()
	r := c.try("", args...)
	require.Zero(c.t, r.code, "kubectl %v: %s", args, r)
	return r.out
}

// namespace makes one.
func (c *cluster) namespace(name string) {
	c.t.Helper()
	c.kubectl("create", "namespace", name)
}

// apply makes what a manifest says.
func (c *cluster) apply(namespace, manifest string) {
	c.t.Helper()
	r := c.try(manifest, "apply", "-n", namespace, "-f", "-")
	require.Zero(c.t, r.code, "%s\n%s", manifest, r)
}

func (c *cluster) node(name string) *corev1.Node {
	n, err := client.Get[*corev1.Node](c.t.Context(), c.api, kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: name}})
	require.NoError(c.t, err)
	return n
}

func (c *cluster) pod(namespace, name string) *corev1.Pod {
	p, err := client.Get[*corev1.Pod](c.t.Context(), c.api, kinds.Ref{Kind: kinds.Pod, Key: kinds.Key{Namespace: namespace, Name: name}})
	require.NoError(c.t, err)
	return p
}

// untilNode waits until a node's Ready is that and the cluster's taints fit, and answers
// how long it took.
func (c *cluster) untilNode(name string, want corev1.ConditionStatus, within time.Duration) time.Duration {
	c.t.Helper()
	began := time.Now()
	until(c.t, within, name+" is to be Ready="+string(want), func() error {
		n := c.node(name)
		for _, cond := range n.Status.Conditions {
			if cond.Type == corev1.NodeReady && cond.Status != want {
				return fmt.Errorf("Ready is %s: %s", cond.Status, cond.Message)
			}
		}
		for _, taint := range n.Spec.Taints {
			if want == corev1.ConditionTrue && strings.HasPrefix(taint.Key, "node.kubernetes.io/") {
				return fmt.Errorf("it still has the taint %s", taint.ToString())
			}
		}
		return nil
	})
	return time.Since(began)
}

func nodeName(i int) string { return "node-" + strconv.Itoa(i) }

// addr is a node's address, which this machine reaches too.
func (p place) addr(i int) string { return lab.NodeAddr(p.subnet, i).String() }

func (p place) server() string {
	return "https://" + lab.ServerAddr(p.subnet, 0).String() + ":6443"
}

const controlPlane = scenarios.ControlPlane
