package real

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/live/testbed/machine"
)

// residue is what the lab could leave on the machine.
func (p place) residue() machine.Residue { return machine.OfLab(p.name, p.dir, p.subnet) }

// TestUpAndDown brings a lab up, has pods in it, and takes it down with them.
func TestUpAndDown(t *testing.T) {
	t.Parallel()
	c := newLab(t, 2)
	c.apply("default", `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 4,
 selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {
  volumes: [{name: m, emptyDir: {medium: Memory}}],
  containers: [{name: web, image: "seatrial.dev/demo/web:v1", volumeMounts: [{name: m, mountPath: /m}]}]}}}}`)
	c.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
	status := c.lab("status")
	for _, want := range []string{"control-plane", "node-0", "node-1", "running", "agent (pid ", "server (pid ", c.addr(1)} {
		require.Contains(t, status, want)
	}
	require.Greater(t, len(c.residue().Picture(t)), 10, "what is looked for when it is down")
	again := call(t, "", built.seatrial, c.upArgs(2)...)
	require.Equal(t, 2, again.code)
	require.Contains(t, again.err, "is up in "+c.dir+" already")
	require.Contains(t, again.err, "seatrial lab down --dir "+c.dir)
	require.Equal(t, 4, strings.Count(c.kubectl("get", "pods", "-l", "app=web", "--no-headers"), "Running"), "the one that is up takes no harm")

	for _, wrong := range [][]string{{"crash", "node-9"}, {"exec", "node-9", "true"}, {"cut", "node-0", "node-9"}, {"cut", "node-0", "node-0"}, {"explode"}} {
		r := call(t, "", built.seatrial, append([]string{"lab", "--dir", c.dir}, wrong...)...)
		require.Equal(t, 2, r.code, "%v: %s", wrong, r)
	}
	began := time.Now()
	c.lab("crash", "control-plane")
	c.lab("crash", "node-0")
	c.lab("restart", "control-plane")
	require.Less(t, time.Since(began), 30*time.Second, "the verbs do not wait for a server that has crashed")
	require.Contains(t, c.lab("status"), "server (pid ")
}

// TestUpIsKilled kills a lab up at several moments, and takes down what there is.
func TestUpIsKilled(t *testing.T) {
	need(t)
	t.Parallel()
	for _, seen := range []string{"state.json", "hosts/*/log/server.log", "hosts/control-plane/data/server/admin.kubeconfig", "hosts/node-0/log/agent.log"} {
		p := newPlace(t)
		before := p.residue().Picture(t)
		up := exec.Command(built.seatrial, p.upArgs(2)...)
		require.NoError(t, up.Start())
		until(t, eventMax, "it gets to "+seen, func() error {
			if found, _ := filepath.Glob(filepath.Join(p.dir, seen)); len(found) == 0 {
				return errors.New("not yet")
			}
			return nil
		})
		require.NoError(t, up.Process.Kill())
		_ = up.Wait() // it was killed
		r := call(t, "", built.seatrial, "lab", "down", "--dir", p.dir)
		require.Zero(t, r.code, "killed at %s: %s", seen, r)
		p.residue().Same(t, before, goneMax)
		r = call(t, "", built.seatrial, "lab", "down", "--dir", p.dir)
		require.Equal(t, 2, r.code)
		require.Contains(t, r.err, "no lab is up in "+p.dir)
	}
}

// TestRunIsInterrupted presses Ctrl-C while a scenario runs in a lab.
func TestRunIsInterrupted(t *testing.T) {
	need(t)
	t.Parallel()
	cmd := exec.Command(built.seatrial, scenarioArgs("guestbook.yaml")...)
	cmd.Dir = root
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	var p place
	until(t, eventMax, "its lab is there", func() (err error) {
		p, err = labOf(cmd.Process.Pid)
		return err
	})
	until(t, eventMax, "containers run", func() error {
		if found, _ := filepath.Glob(filepath.Join(p.dir, "hosts", "worker-*", "data", "agent", "logs", "*", "*", "*")); len(found) > 0 {
			return nil
		}
		return errors.New("none yet")
	})
	require.Greater(t, len(p.residue().Picture(t)), 10)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("it does not end")
		_ = cmd.Process.Kill()
		<-ended
	}
	require.Equal(t, 130, cmd.ProcessState.ExitCode(), said.String())
	p.residue().Same(t, nil, goneMax)
}

// labOf is the lab of a run, by the first process of its switch: other runs have theirs
// beside it.
func labOf(run int) (place, error) {
	files, err := filepath.Glob("/var/lib/seatrial/run*/state.json")
	if err != nil {
		return place{}, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has just been taken away
		}
		var lab struct {
			Config struct {
				Name   string
				Subnet netip.Prefix
			}
			Switch struct{ Pid int }
		}
		if err := json.Unmarshal(text, &lab); err != nil {
			return place{}, fmt.Errorf("%s: %w", file, err)
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", lab.Switch.Pid))
		if err != nil {
			continue
		}
		// PID (NAME) STATE PARENT ...
		after := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(after) > 1 && after[1] == strconv.Itoa(run) {
			return place{name: lab.Config.Name, dir: filepath.Dir(file), subnet: lab.Config.Subnet}, nil
		}
	}
	return place{}, fmt.Errorf("none of %v is that of process %d", files, run)
}
