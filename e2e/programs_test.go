package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the folder of the module.
const root = ".."

// seatrial is the command under test, built once.
var seatrial string

func TestMain(m *testing.M) { os.Exit(withSeatrial(m.Run)) }

func withSeatrial(run func() int) int {
	dir, err := os.MkdirTemp("", "seatrial-e2e-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	seatrial = filepath.Join(dir, "seatrial")
	cmd := exec.Command("go", "build", "-trimpath", "-o", seatrial, "./cmd/seatrial")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return run()
}

// look reads every folder with source code, once. The tests do not import what they
// test, so without this the go command would take its cached results for good after a
// change elsewhere; it notes only what is read within a test.
var look = sync.OnceValue(func() error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || path == root {
			return err
		}
		if n := d.Name(); n == "testdata" || n == "tools" || n == "out" || n == "bin" || strings.HasPrefix(n, ".") {
			return fs.SkipDir
		}
		return nil
	})
})

// find returns the program of that name in bin, or else the newest on the PATH. The
// transcripts are of the one in bin; others may word things differently.
func find(t *testing.T, name string) string {
	built, err := filepath.Abs(filepath.Join(root, "bin", name))
	require.NoError(t, err)
	if _, err := os.Stat(built); err == nil {
		return built
	}
	var newest string
	var version [2]int
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if v, ok := versionOf(path, name); ok && (newest == "" || v[0] > version[0] || v[0] == version[0] && v[1] > version[1]) {
			newest, version = path, v
		}
	}
	if newest == "" {
		t.Fatalf("there is no %s in bin nor on the PATH; build it with: make %s", name, name)
	}
	t.Logf("bin/%s is missing (make %s builds it); using %s", name, name, newest)
	return newest
}

// versionOf asks a program for its major and minor version.
func versionOf(path, name string) (v [2]int, ok bool) {
	args := map[string][]string{"kubectl": {"version", "--client", "-o", "json"}, "helm": {"version", "--template", `{"clientVersion":{"gitVersion":"{{.Version}}"}}`}}
	out, err := exec.Command(path, args[name]...).Output()
	if err != nil {
		return v, false
	}
	var said struct{ ClientVersion struct{ GitVersion string } }
	if json.NewDecoder(bytes.NewReader(out)).Decode(&said) != nil {
		return v, false
	}
	parts := strings.SplitN(strings.TrimPrefix(said.ClientVersion.GitVersion, "v"), ".", 3)
	if len(parts) < 2 {
		return v, false
	}
	for i := range v {
		if v[i], err = strconv.Atoi(parts[i]); err != nil {
			return v, false
		}
	}
	return v, true
}
