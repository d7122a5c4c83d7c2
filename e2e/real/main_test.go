package real

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/live/doctor"
	"seatrial.dev/seatrial/live/testbed/machine"
)

// root is the folder of the module.
const root = "../.."

// busybox is an image with a shell, made of the machine's own busybox.
const busybox = "seatrial.test/busybox:1"

// atOnce is how many tests run side by side: mostly they wait.
const atOnce = "6"

// built is what TestMain has made, and cannot is why nothing can be run.
var (
	built  programs
	cannot string
)

type programs struct {
	seatrial, kubectl, load string   // programs
	images                  []string // OCI layouts
}

// tools are programs that are needed, and the Debian packages that have them.
var tools = []struct{ program, pkg string }{
	{"iptables", "iptables"}, {"nft", "nftables"}, {"conntrack", "conntrack"}, {"busybox", "busybox-static"},
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	if f := flag.Lookup("test.list"); f.Value.String() != "" {
		return m.Run()
	}
	if cannot = install(); cannot != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "seatrial-real-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if cannot, err = able(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// install gets the tools that are missing, and says what it could not get.
func install() string {
	if os.Geteuid() != 0 {
		return "hosts, containers and networks can be made by root only"
	}
	var missing []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.program); err != nil {
			missing = append(missing, t.pkg)
		}
	}
	if len(missing) == 0 {
		return ""
	}
	fmt.Fprintln(os.Stderr, "installing", strings.Join(missing, " "))
	_ = exec.Command("apt-get", "update").Run() // old lists may do
	cmd := exec.Command("apt-get", append([]string{"install", "-y", "--no-install-recommends"}, missing...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Sprintf("%s cannot be installed: %v: %s", strings.Join(missing, " "), err, out)
	}
	return ""
}

// build makes everything that the tests run, in a folder.
func build(dir string) (err error) {
	bin := filepath.Join(dir, "bin")
	built = programs{seatrial: filepath.Join(bin, "seatrial"), load: filepath.Join(bin, "load"),
		images: []string{filepath.Join(dir, "images"), filepath.Join(dir, "busybox")}}
	shell := filepath.Join(dir, "shell")
	if err := machine.Rootfs(shell); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(shell, "data"), 0o755); err != nil {
		return err
	}
	for _, argv := range [][]string{
		{"go", "build", "-trimpath", "-o", bin + "/", "./cmd/seatrial", "./cmd/seatrial-agent", "./cmd/seatrial-runtime", "./live/demo/load"},
		{"env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-o", bin + "/seatrial-standin", "./live/demo/standin"},
		{"env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-o", bin + "/", "./e2e/real/testdata/ask"},
		{"cp", bin + "/ask", shell + "/bin/ask"},
		{"go", "run", "./live/demo/images", built.images[0]},
		{built.seatrial, "image", "build", "--name", busybox, "--from", shell, "--cmd", "sh", "--env", "PATH=/bin", "--layout", built.images[1]},
	} {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
		}
	}
	if built.kubectl, err = filepath.Abs(filepath.Join(root, "bin", "kubectl")); err != nil {
		return err
	}
	if _, err := os.Stat(built.kubectl); err != nil {
		return fmt.Errorf("%w; build it with: make kubectl", err)
	}
	return nil
}

// able asks seatrial doctor, and answers why a lab cannot be run here.
func able() (why string, err error) {
	out, err := exec.Command(built.seatrial, "doctor", "--json").Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", err
	}
	var r doctor.Report
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&r); err != nil {
		return "", fmt.Errorf("seatrial doctor --json: %w: %s", err, out)
	}
	if r.Lab {
		return "", nil
	}
	var lack []string
	for _, row := range r.Missing() {
		if row.Level != doctor.Optional {
			lack = append(lack, fmt.Sprintf("%s: %s", row.Feature, row.Found))
		}
	}
	return "seatrial doctor says that this machine cannot run a lab: " + strings.Join(lack, "; "), nil
}

// need skips a test, for all to hear, where the real world cannot run.
func need(t testing.TB) {
	t.Helper()
	if cannot != "" {
		fmt.Fprintf(os.Stderr, "\n*** %s DID NOT RUN: %s\n\n", t.Name(), cannot)
		t.Skip(cannot)
	}
	require.NoError(t, look())
}

// look reads every folder with source code, once: the tests run programs that they do not
// import, and the go command takes its cached result unless what was read has changed.
var look = sync.OnceValue(func() error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || path == root {
			return err
		}
		if n := d.Name(); n == "tools" || n == "out" || n == "bin" || n != ".." && strings.HasPrefix(n, ".") {
			return fs.SkipDir
		}
		return nil
	})
})
