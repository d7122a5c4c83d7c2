package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"seatrial.dev/seatrial/live/runtime/cgroup"
)

// forContainers are the programs without which no test can run containers.
var forContainers = []string{"busybox", "gcc", "go", "ip"}

// Missing says what tests that run containers need and this machine has not; more are
// programs that some of them need beside.
func Missing(more ...string) (out []string) {
	if os.Geteuid() != 0 {
		out = append(out, "root")
	}
	for _, program := range append(forContainers[:len(forContainers):len(forContainers)], more...) {
		if _, err := exec.LookPath(program); err != nil {
			out = append(out, "the program "+program)
		}
	}
	if roots, err := cgroup.Hierarchies(); err != nil || len(roots) == 0 {
		out = append(out, "control groups")
	}
	return out
}

// Need skips a test, and says why, where it cannot run containers.
func Need(t testing.TB, more ...string) {
	t.Helper()
	if list := Missing(more...); len(list) > 0 {
		t.Skipf("NOT RUN, containers need: %s (apt-get install busybox-static gcc iproute2 iptables)", strings.Join(list, ", "))
	}
}

// Run runs a package's tests and then takes away what Runtime has built for them; it
// returns the exit status.
func Run(m *testing.M) int {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	return code
}

// built is the folder of the program, once there is one.
var built string

// runtimeEnv tells the processes that a test starts of itself where the program is.
const runtimeEnv = "SEATRIAL_TEST_RUNTIME"

// Runtime builds seatrial-runtime, once for all tests of a process, whose TestMain has to
// call Run, and of those that it starts.
var Runtime = sync.OnceValues(func() (path string, err error) {
	if path = os.Getenv(runtimeEnv); path != "" {
		return path, nil
	}
	if built, err = os.MkdirTemp("", "seatrial-runtime-"); err != nil {
		return "", err
	}
	path = filepath.Join(built, "seatrial-runtime")
	out, err := exec.Command("go", "build", "-o", path, "seatrial.dev/seatrial/cmd/seatrial-runtime").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, os.Setenv(runtimeEnv, path)
})

// Rootfs makes a root file system of the machine's busybox, with a name for each thing it
// does. It has the users root and web (1000; its groups are web, 1001, and staff, 1002).
func Rootfs(dir string) error {
	for _, d := range []string{"bin", "tmp", "etc", "proc", "dev", "sys", "home", "www"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	found, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	program, err := os.ReadFile(found)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, text string
		mode       os.FileMode
	}{
		{"bin/busybox", string(program), 0o755},
		{"etc/passwd", "root:x:0:0::/:/bin/sh\nweb:x:1000:1001::/home:/bin/sh\n", 0o644},
		{"etc/group", "web:x:1001:\nstaff:x:1002:web\n", 0o644},
	} {
		if err := os.WriteFile(filepath.Join(dir, f.name), []byte(f.text), f.mode); err != nil {
			return err
		}
	}
	names, err := exec.Command(found, "--list").Output()
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(names)) {
		if name == "busybox" {
			continue
		}
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", name)); err != nil {
			return err
		}
	}
	return os.Chmod(filepath.Join(dir, "tmp"), 0o777|os.ModeSticky)
}
