package shim

// #cgo CFLAGS: -Wall
import "C"

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"

	"github.com/opencontainers/runc/libcontainer/exeseal"
	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/live/runtime"
)

// startPause makes the pod's namespaces, with a pause process in them. The root
// folder is only used before it answers.
func startPause(spec *runtime.SandboxSpec, root string) (*exec.Cmd, error) {
	// A container that shares the PID namespace may look at this process: what it
	// could get hold of there is a sealed copy of the program.
	exe, err := exeseal.CloneSelfExe(root)
	if err != nil {
		return nil, fmt.Errorf("sealing the program: %w", err)
	}
	defer exe.Close()
	told, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer told.Close()
	cmd := &exec.Cmd{
		Path: fmt.Sprintf("/proc/self/fd/%d", 4),
		// The folder is how a sweep knows whose process this is.
		Args:       []string{"seatrial-runtime", "pause", filepath.Dir(root)},
		Env:        []string{"SEATRIAL_PAUSE_ROOT=" + root},
		Dir:        "/",
		ExtraFiles: []*os.File{tell, exe},
		SysProcAttr: &syscall.SysProcAttr{
			Setsid:     true,
			Cloneflags: unix.CLONE_NEWNS,
		},
	}
	if !spec.HostNetwork() {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUTS
		cmd.Env = append(cmd.Env, "SEATRIAL_PAUSE_HOSTNAME="+spec.Hostname)
	}
	if !spec.HostIPC {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWIPC
	}
	if spec.SharePID {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWPID
	}
	err = inNamespaces([]string{spec.NetnsPath}, cmd.Start)
	tell.Close()
	if err != nil {
		return nil, fmt.Errorf("starting the pause process: %w", err)
	}
	said, err := io.ReadAll(told)
	if err == nil && string(said) != "ok" {
		err = errors.New(string(said))
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("the pause process: %w", err)
	}
	return cmd, nil
}

// inNamespaces calls do on a thread that is in the namespaces of these files (empty
// names are left out) and that ends with it.
func inNamespaces(paths []string, do func() error) error {
	result := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // never unlocked: the thread dies with the goroutine
		for _, path := range paths {
			if path == "" {
				continue
			}
			f, err := os.Open(path)
			if err == nil {
				err = os.NewSyscallError("setns", unix.Setns(int(f.Fd()), 0))
				f.Close()
			}
			if err != nil {
				result <- fmt.Errorf("entering the namespace %s: %w", path, err)
				return
			}
		}
		result <- do()
	}()
	return <-result
}

// setSysctls writes values within the pod's namespaces.
func setSysctls(spec *runtime.SandboxSpec, pause int) error {
	if len(spec.Sysctls) == 0 {
		return nil
	}
	var paths []string
	if !spec.HostNetwork() {
		paths = append(paths, namespacePath(pause, "net"))
	}
	if !spec.HostIPC {
		paths = append(paths, namespacePath(pause, "ipc"))
	}
	return inNamespaces(paths, func() error {
		for name, value := range spec.Sysctls {
			// Names may come with dots or slashes, as an interface's name may hold dots.
			path := name
			if !strings.Contains(name, "/") {
				path = strings.ReplaceAll(name, ".", "/")
			}
			if err := os.WriteFile("/proc/sys/"+path, []byte(value), 0); err != nil {
				return &runtime.Error{Kind: runtime.KindHost, Text: fmt.Sprintf("sysctl %s=%s: %v", name, value, err)}
			}
		}
		return nil
	})
}

func namespacePath(pid int, kind string) string { return fmt.Sprintf("/proc/%d/ns/%s", pid, kind) }
