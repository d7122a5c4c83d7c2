package real

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"seatrial.dev/seatrial/live/runtime/cgroup"
)

// picture is what there is on the machine of this lab: others may come and go meanwhile.
func (p place) picture(t testing.TB) (out []string) {
	links, err := netlink.LinkList()
	require.NoError(t, err)
	for _, l := range links {
		out = append(out, "link "+l.Attrs().Name)
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	require.NoError(t, err)
	for _, r := range routes {
		out = append(out, "route "+r.String())
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		out = append(out, "mount "+strings.TrimSpace(line))
	}
	roots, err := cgroup.Hierarchies()
	require.NoError(t, err)
	for _, root := range roots {
		found, err := filepath.Glob(filepath.Join(root, "seatrial", p.name))
		require.NoError(t, err)
		out = append(out, found...)
	}
	for _, dir := range []string{"/run", "/run/seatrial", "/run/netns", "/run/seatrial/netns", "/dev/shm", "/var/lib/seatrial", filepath.Dir(p.dir), p.dir} {
		list, _ := os.ReadDir(dir)
		for _, e := range list {
			out = append(out, "file "+filepath.Join(dir, e.Name()))
		}
	}
	rules, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
	require.NoError(t, err, string(rules))
	for line := range strings.Lines(string(rules)) {
		out = append(out, "rule "+strings.TrimSpace(line))
	}
	out = append(out, p.processes()...)
	return slices.DeleteFunc(out, func(line string) bool {
		for _, mark := range []string{"st-" + p.name, "/seatrial/" + p.name, p.dir, p.subnet.Addr().String(), "process"} {
			if strings.Contains(line, mark) {
				return false
			}
		}
		return true
	})
}

// processes are those of the lab, by their names, their groups and what they have open.
func (p place) processes() (out []string) {
	list, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range list {
		line, _ := os.ReadFile(proc + "/cmdline")
		groups, _ := os.ReadFile(proc + "/cgroup")
		if len(line) == 0 {
			continue // dead already, and only waits for the machine's first process
		}
		command := strings.ReplaceAll(string(line), "\x00", " ")
		if !strings.Contains(command, "/seatrial lab down ") && strings.Contains(command, p.dir) ||
			strings.Contains(command, "lab-host "+p.name+"/") || strings.Contains(string(groups), "/seatrial/"+p.name+"/") {
			out = append(out, "process "+proc+" "+command)
		}
	}
	return out
}

// same waits until the machine is as before; the kernel takes a moment for some things.
func (p place) same(t testing.TB, before []string) {
	t.Helper()
	until(t, 10*time.Second, "nothing of the lab may be left on the machine", func() error {
		now := p.picture(t)
		var diff []string
		for _, x := range now {
			if !slices.Contains(before, x) {
				diff = append(diff, "+ "+x)
			}
		}
		for _, x := range before {
			if !slices.Contains(now, x) {
				diff = append(diff, "- "+x)
			}
		}
		if diff != nil {
			return errors.New(strings.Join(diff, "\n"))
		}
		return nil
	})
}

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
	require.Greater(t, len(c.picture(t)), 10, "what is looked for when it is down")
	again := call(t, "", built.seatrial, c.upArgs(2)...)
	require.Equal(t, 3, again.code)
	require.Contains(t, again.err, "is up in "+c.dir+" already")
	require.Equal(t, 4, strings.Count(c.kubectl("get", "pods", "-l", "app=web", "--no-headers"), "Running"), "the one that is up takes no harm")
}

// TestUpIsKilled kills a lab up at several moments, and takes down what there is.
func TestUpIsKilled(t *testing.T) {
	need(t)
	t.Parallel()
	for _, seen := range []string{"state.json", "hosts/*/log/server.log", "hosts/control-plane/data/server/admin.kubeconfig", "hosts/node-0/log/agent.log"} {
		p := newPlace(t)
		before := p.picture(t)
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
		p.same(t, before)
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
	require.Greater(t, len(p.picture(t)), 10)
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
	p.same(t, nil)
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
