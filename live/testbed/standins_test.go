//go:build linux

package testbed_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"seatrial.dev/seatrial/live/doctor"
	"seatrial.dev/seatrial/live/image"
	"seatrial.dev/seatrial/live/play"
	"seatrial.dev/seatrial/live/testbed"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/standin"
	"seatrial.dev/seatrial/scenarios/standin/behaviour"
)

const root = "../.."

// buildMax is for compiling, the rest for a lab of one node.
const (
	buildMax = 10 * time.Minute
	downMax  = time.Minute
)

// compile builds the programs into one folder.
func compile(t *testing.T, programs ...string) (dir string) {
	ctx, cancel := context.WithTimeout(t.Context(), buildMax)
	defer cancel()
	dir = t.TempDir()
	for _, p := range programs {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, filepath.Base(p)), "./"+p)
		cmd.Dir = root
		if strings.HasSuffix(p, "standin") {
			cmd.Args[len(cmd.Args)-2] = filepath.Join(dir, testbed.StandInProgram)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	return dir
}

// TestStandIns runs a scenario of images that nobody has: exit codes, an image that cannot
// be pulled and one that cannot start, readiness by each kind of probe, an OOM kill, and
// logs over the API.
func TestStandIns(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("NOT RUN: hosts, containers and networks can be made by root only")
	}
	bin := compile(t, "cmd/seatrial", "cmd/seatrial-agent", "cmd/seatrial-runtime", "live/demo/standin")
	if r := doctor.Check(t.Context(), bin); !r.Lab {
		t.Skipf("NOT RUN: this machine cannot run a lab: %+v", r.Missing())
	}
	scn, err := scenarios.Read("testdata/standins.yaml")
	require.NoError(t, err)
	missing, err := testbed.MissingImages(t.Context(), scn, nil)
	require.NoError(t, err)
	made, err := testbed.StandIns(filepath.Join(bin, testbed.StandInProgram), missing)
	require.NoError(t, err)
	// Another checkout's tests may run on the same machine.
	subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 30, byte(100 + os.Getpid()%100), 0}), 24)
	tb, err := testbed.Up(t.Context(), testbed.Config{Name: fmt.Sprintf("t%d", os.Getpid()), Dir: filepath.Join(t.TempDir(), "lab"), Subnet: subnet,
		Binary: filepath.Join(bin, "seatrial"), Nodes: scn.Nodes, Network: scn.Network, Made: made, NoRegistry: true})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), downMax)
		defer cancel()
		require.NoError(t, tb.Down(ctx))
	})
	v, _ := play.Run(t.Context(), scn, tb.Client(), testbed.Hosts{T: tb}, play.Options{})
	require.NoError(t, v.Err)
	for _, c := range v.Checks {
		require.True(t, c.Held, "%s: saw %s", c.Name, c.Saw)
	}
	require.True(t, v.Passed())
	require.Equal(t, "try 0\ntry 1\ntry 2\ntry 3\n", logs(t, tb, "failing"))
	require.Equal(t, "started\n", logs(t, tb, "web"))
}

// logs are what a pod wrote, as the API tells it.
func logs(t *testing.T, tb *testbed.Testbed, pod string) string {
	cfg, err := clientcmd.BuildConfigFromFlags("", tb.Kubeconfig())
	require.NoError(t, err)
	c, err := rest.HTTPClientFor(cfg)
	require.NoError(t, err)
	defer c.CloseIdleConnections()
	resp, err := c.Get(cfg.Host + "/api/v1/namespaces/default/pods/" + pod + "/log")
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, string(raw))
	return string(raw)
}

// TestMissingImages leaves out what a layout has, in another spelling, and what cannot be
// pulled.
func TestMissingImages(t *testing.T) {
	scn, err := scenarios.Read("testdata/standins.yaml")
	require.NoError(t, err)
	missing, err := testbed.MissingImages(t.Context(), scn, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"demo/broken:1", "demo/failing:1", "demo/leaking:1", "demo/sick:1", "demo/web"}, standin.Names(missing))

	dir := t.TempDir()
	from := filepath.Join(dir, "root")
	require.NoError(t, os.Mkdir(from, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(from, "x"), nil, 0o755))
	img, err := image.Build(image.Spec{Name: "web", From: from, Entrypoint: []string{"/x"}})
	require.NoError(t, err)
	layout := filepath.Join(dir, "layout")
	require.NoError(t, image.WriteLayout(layout, []image.Named{{Name: "docker.io/demo/web:latest", Image: img}}))
	missing, err = testbed.MissingImages(t.Context(), scn, []string{layout})
	require.NoError(t, err)
	require.Equal(t, []string{"demo/broken:1", "demo/failing:1", "demo/leaking:1", "demo/sick:1"}, standin.Names(missing))
	_, err = testbed.MissingImages(t.Context(), scn, []string{filepath.Join(dir, "none")})
	require.ErrorContains(t, err, "none")
}

// TestStandInImages looks into the images: programs lie at their paths as links, but not in
// the program's own place; what is broken has none.
func TestStandInImages(t *testing.T) {
	program := filepath.Join(compile(t, "live/demo/standin"), testbed.StandInProgram)
	list := []standin.Image{
		{Name: "db:1", Behaviour: behaviour.Behaviour{Image: "db:1"}, Programs: []string{"/bin/sh", "/seatrial-standin", "/seatrial-standin/x"}, NonRoot: true},
		{Name: "broken:1", Behaviour: behaviour.Behaviour{Image: "broken:1"}, Programs: []string{"/bin/sh"}, Broken: true},
		{Name: "other:1", Behaviour: behaviour.Behaviour{Image: "other:1"}},
	}
	made, err := testbed.StandIns(program, list)
	require.NoError(t, err)
	var first v1.Hash
	for i, want := range []struct {
		entry, user string
		links       []string
	}{{"/seatrial-standin", "65532:65532", []string{"bin/sh -> /seatrial-standin"}}, {"/no-such-program", "", nil}, {"/seatrial-standin", "", nil}} {
		file, err := made[i].Image.ConfigFile()
		require.NoError(t, err)
		require.Equal(t, []string{want.entry}, file.Config.Entrypoint)
		require.Equal(t, want.user, file.Config.User)
		require.Contains(t, file.Config.Env, behaviour.Variable+`={"image":"`+list[i].Name+`"}`)
		layers, err := made[i].Image.Layers()
		require.NoError(t, err)
		digest, err := layers[0].Digest()
		require.NoError(t, err)
		if i == 0 {
			first = digest
		}
		require.Equal(t, first, digest, "all have one layer in common")
		var links []string
		for _, l := range layers[1:] {
			r, err := l.Uncompressed()
			require.NoError(t, err)
			for tr := tar.NewReader(r); ; {
				h, err := tr.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
				links = append(links, h.Name+" -> "+h.Linkname)
			}
		}
		require.Equal(t, want.links, links)
	}
	_, err = testbed.StandIns(program+"x", list)
	require.ErrorContains(t, err, "make build makes it")
}
