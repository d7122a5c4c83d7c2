package image

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func open(t testing.TB, config Config) *Store {
	needRoot(t)
	s, err := Open(filepath.Join(t.TempDir(), "store"), config)
	require.NoError(t, err)
	return s
}

// imageOf has a layer for each of the lists of entries, as layerOf reads them.
func imageOf(t testing.TB, layers ...string) v1.Image {
	img := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	for _, lines := range layers {
		raw := layerOf(t, lines)
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }, tarball.WithMediaType(types.OCILayer))
		require.NoError(t, err)
		img, err = mutate.AppendLayers(img, l)
		require.NoError(t, err)
	}
	file, err := img.ConfigFile()
	require.NoError(t, err)
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{Entrypoint: []string{"/run"}, Env: []string{"A=b"}, User: "web", WorkingDir: "/srv", StopSignal: "SIGINT",
		Volumes: map[string]struct{}{"/data": {}}}
	img, err = mutate.ConfigFile(img, file)
	require.NoError(t, err)
	return img
}

var three = []string{
	"dir etc\nfile etc/passwd root:x:0:0::/root:/bin/sh\nfile gone x\ndir opaque\nfile opaque/old x\nfile changed old",
	"file .wh.gone\nfile opaque/.wh..wh..opq\nfile opaque/new x\nfile changed new",
	"file top x",
}

func TestMountShowsLayersAndKeepsThem(t *testing.T) {
	s := open(t, Config{})
	_, err := s.Add(t.Context(), "web:v1", imageOf(t, three...))
	require.NoError(t, err)
	mount := func(id string) string {
		rootfs, err := s.Mount("web:v1", id)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Unmount(id)) })
		return rootfs
	}
	a, b := mount("a"), mount("b")
	again, err := s.Mount("docker.io/library/web:v1", "a")
	require.NoError(t, err)
	require.Equal(t, a, again)
	for _, gone := range []string{"gone", "opaque/old"} {
		require.NoFileExists(t, filepath.Join(a, gone))
	}
	for file, want := range map[string]string{"changed": "new", "opaque/new": "x", "top": "x"} {
		raw, err := os.ReadFile(filepath.Join(a, file))
		require.NoError(t, err)
		require.Equal(t, want, string(raw))
	}
	require.NoError(t, os.WriteFile(filepath.Join(a, "changed"), []byte("by a"), 0o644))
	raw, err := os.ReadFile(filepath.Join(b, "changed"))
	require.NoError(t, err)
	require.Equal(t, "new", string(raw), "what one container writes must not reach another")

	require.ErrorIs(t, s.Remove("web:v1"), ErrInUse)
	unused, err := Build(Spec{Name: "unused:v1", From: rootfsOf(t)})
	require.NoError(t, err)
	_, err = s.Add(t.Context(), "unused:v1", unused)
	require.NoError(t, err)
	pruned, err := s.Prune()
	require.NoError(t, err)
	require.Len(t, pruned, 1)
	require.Equal(t, []string{"docker.io/library/unused:v1"}, pruned[0].Names)
	_, err = s.Find("unused:v1")
	require.ErrorIs(t, err, ErrNotFound)
	_, err = s.Find("web:v1")
	require.NoError(t, err, "containers are made of it")
	require.NoError(t, s.Unmount("a"))
	require.NoError(t, s.Unmount("a"), "twice is no error")
	require.NoDirExists(t, filepath.Dir(a))
	require.NoError(t, s.Unmount("b"))
	require.NoError(t, s.Remove("web:v1"))
	for _, folder := range []string{"layers", "blobs/sha256", "tmp", "mounts", "containers"} {
		entries, err := os.ReadDir(s.path(folder))
		require.NoError(t, err)
		require.Empty(t, entries, folder)
	}
	for _, id := range []string{"", "..", "a/b", ".a", strings.Repeat("a", 129)} {
		_, err := s.Mount("web:v1", id)
		require.ErrorContains(t, err, "container ID")
	}
}

// rootfsOf is a folder with one file.
func rootfsOf(t *testing.T) string {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte("of no container"), 0o644))
	return dir
}

func TestMountOfManyLayers(t *testing.T) {
	s := open(t, Config{})
	var layers []string
	for i := range s.config.Limits.LayersMax {
		layers = append(layers, fmt.Sprintf("file f%d x\n", i))
	}
	_, err := s.Add(t.Context(), "many", imageOf(t, layers...))
	require.NoError(t, err)
	rootfs, err := s.Mount("many", "a")
	require.NoError(t, err)
	entries, err := os.ReadDir(rootfs)
	require.NoError(t, err)
	require.Len(t, entries, s.config.Limits.LayersMax)
	require.NoError(t, s.Unmount("a"))

	// The way of older kernels.
	im, err := s.Find("many")
	require.NoError(t, err)
	lowers, err := s.lowers(im)
	require.NoError(t, err)
	dir := t.TempDir()
	for _, d := range []string{"upper", "work", "rootfs"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	require.NoError(t, overlayByString(dir, lowers))
	defer func() { require.NoError(t, unmount(filepath.Join(dir, "rootfs"))) }()
	entries, err = os.ReadDir(filepath.Join(dir, "rootfs"))
	require.NoError(t, err)
	require.Len(t, entries, s.config.Limits.LayersMax)

	_, err = s.Add(t.Context(), "toomany", imageOf(t, append(layers, "file more x")...))
	require.ErrorContains(t, err, "limit LayersMax")
}

func TestNames(t *testing.T) {
	s := open(t, Config{})
	im, err := s.Add(t.Context(), "web", imageOf(t, "file a x"))
	require.NoError(t, err)
	require.Equal(t, []string{"docker.io/library/web:latest"}, im.Names)
	require.Equal(t, Run{Entrypoint: []string{"/run"}, Env: []string{"A=b"}, WorkingDir: "/srv", User: "web", StopSignal: "SIGINT", Volumes: []string{"/data"}}, im.Run)
	_, err = s.Add(t.Context(), "seatrial.dev/demo/web:v1", imageOf(t, "file b x"))
	require.NoError(t, err)
	for _, ref := range []string{"web", "web:latest", "library/web", "docker.io/web", "index.docker.io/library/web:latest", "web@" + im.Digest, im.Digest, im.ID} {
		got, err := s.Find(ref)
		require.NoError(t, err, ref)
		require.Equal(t, im.Digest, got.Digest, ref)
	}
	for ref, want := range map[string]string{
		"web:v2":                `image "web:v2" (docker.io/library/web:v2): not found on this host, which has it with latest`,
		"nothing":               `image "nothing" (docker.io/library/nothing:latest): not found on this host`,
		"seatrial.dev/demo/web": `image "seatrial.dev/demo/web" (seatrial.dev/demo/web:latest): not found on this host, which has it with v1`,
		"":                      "invalid image name: it is empty; want REGISTRY/REPOSITORY:TAG, such as docker.io/library/busybox:1.36",
	} {
		_, err := s.Find(ref)
		require.EqualError(t, err, want)
	}
	for _, ref := range []string{"Web", "a:b:c", "web:", strings.Repeat("a", 2000)} {
		_, err := s.Find(ref)
		require.ErrorIs(t, err, ErrInvalidName, ref)
	}
	list, err := s.List()
	require.NoError(t, err)
	require.Len(t, list, 2)
}

// counted counts requests for blobs, and asks for a password if there is one.
type counted struct {
	http.Handler
	password string
	blobs    atomic.Int64
}

func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, got, _ := r.BasicAuth(); c.password != "" && got != c.password {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
		c.blobs.Add(1)
	}
	c.Handler.ServeHTTP(w, r)
}

func serve(t testing.TB, password string) (host string, c *counted) {
	c = &counted{Handler: registry.New(registry.Logger(nopLog())), password: password}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), c
}

func push(t testing.TB, ref, password string, img v1.Image) {
	r, err := name.ParseReference(ref)
	require.NoError(t, err)
	require.NoError(t, remote.Write(r, img, remote.WithAuth(&authn.Basic{Username: "me", Password: password})))
}

func TestPull(t *testing.T) {
	s := open(t, Config{})
	host, count := serve(t, "")
	push(t, host+"/team/web:v1", "", imageOf(t, three...))
	count.blobs.Store(0)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			im, err := s.Pull(t.Context(), host+"/team/web:v1", Credentials{})
			require.NoError(t, err)
			require.Equal(t, []string{host + "/team/web@" + im.Digest}, im.Digests)
		})
	}
	all.Wait()
	require.Equal(t, int64(4), count.blobs.Load(), "three layers and a configuration, once")
	_, err := s.Pull(t.Context(), host+"/team/web:v1", Credentials{})
	require.NoError(t, err)
	require.LessOrEqual(t, count.blobs.Load(), int64(5), "layers that are here are not fetched again")

	_, err = s.Pull(t.Context(), host+"/team/web:v9", Credentials{})
	require.ErrorIs(t, err, ErrNotFound)
	_, err = s.Pull(t.Context(), "UPPER", Credentials{})
	require.ErrorIs(t, err, ErrInvalidName)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err = s.Pull(ctx, host+"/team/web:v1", Credentials{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestPullWithCredentials(t *testing.T) {
	s := open(t, Config{})
	host, _ := serve(t, "right")
	push(t, host+"/team/web:v1", "right", imageOf(t, "file a x"))
	secret := func(key, password string) Credentials {
		auth := base64.StdEncoding.EncodeToString([]byte("me:" + password))
		c, err := ParseDockerConfigJSON(fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, key, auth))
		require.NoError(t, err)
		return c
	}
	for _, c := range []Credentials{{}, secret(host, "wrong"), secret(host+"/other", "right"), secret("example.com", "right")} {
		_, err := s.Pull(t.Context(), host+"/team/web:v1", c)
		require.ErrorIs(t, err, ErrDenied)
		require.NotContains(t, err.Error(), "wrong")
	}
	_, err := s.Pull(t.Context(), host+"/team/web:v1", secret("http://"+host+"/v1/", "wrong").Join(secret(host+"/team", "right")))
	require.NoError(t, err)
}

// TestPullWithoutTLSIsForLoopbackAndNamedOnly looks at what a private address gets to
// see: the library would speak to it without TLS.
func TestPullWithoutTLSIsForLoopbackAndNamedOnly(t *testing.T) {
	s := &Store{config: Config{PlainHTTP: []string{"10.0.0.9:5000", "registry.lab"}}}
	for host, want := range map[string]bool{"127.0.0.1:5000": true, "localhost": true, "[::1]:5000": true, "10.0.0.9:5000": true, "registry.lab:81": true,
		"10.0.0.8:5000": false, "192.168.1.1": false, "127.0.0.1.example.com": false, "a.local": false} {
		require.Equal(t, want, s.plain(host), host)
	}
	var asked []string
	g := &guard{plain: s.plain, stall: time.Minute, next: roundTrip(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Scheme+"://"+r.URL.Host)
		return nil, io.EOF
	})}
	for _, u := range []string{"http://10.0.0.8:5000/v2/", "http://10.0.0.9:5000/v2/", "http://tokens.example.com/"} {
		r, err := http.NewRequest(http.MethodGet, u, nil)
		require.NoError(t, err)
		_, _ = g.RoundTrip(r)
	}
	require.Equal(t, []string{"https://10.0.0.8:5000", "http://10.0.0.9:5000", "https://tokens.example.com"}, asked)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestPullEndsWhenTheRegistryStalls has registries that fall silent before an answer, and
// in the middle of a layer.
func TestPullEndsWhenTheRegistryStalls(t *testing.T) {
	s := open(t, Config{Limits: Limits{PullStall: 50 * time.Millisecond}})
	ended := make(chan struct{})
	defer close(ended)
	mute := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	}))
	defer mute.Close()
	_, err := s.Pull(t.Context(), strings.TrimPrefix(mute.URL, "http://")+"/web", Credentials{})
	require.ErrorIs(t, err, ErrStalled)

	host, c := serve(t, "")
	img := imageOf(t, "file a x")
	push(t, host+"/web", "", img)
	m, err := img.Manifest()
	require.NoError(t, err)
	whole := c.Handler
	c.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, m.Layers[0].Digest.String()) {
			whole.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(m.Layers[0].Size))
		w.Write([]byte{0x1f, 0x8b, 8})
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	})
	_, err = s.Pull(t.Context(), host+"/web", Credentials{})
	require.ErrorIs(t, err, ErrStalled)
}

// TestLayersElsewhereAreRefused has an image that sends the host to an address of its
// choice.
func TestLayersElsewhereAreRefused(t *testing.T) {
	s := open(t, Config{})
	l, err := imageOf(t, "file a x").Layers()
	require.NoError(t, err)
	asked := atomic.Int64{}
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer inner.Close()
	img, err := mutate.Append(imageOf(t), mutate.Addendum{Layer: l[0], URLs: []string{inner.URL + "/secret"}})
	require.NoError(t, err)
	host, _ := serve(t, "")
	push(t, host+"/web", "", img)
	_, err = s.Pull(t.Context(), host+"/web", Credentials{})
	require.ErrorContains(t, err, "want layers that the registry itself has")
	require.Zero(t, asked.Load())
}

// TestPlatforms has an image for several platforms, one of them this host's, and one
// that is for another only.
func TestPlatforms(t *testing.T) {
	s := open(t, Config{})
	host, _ := serve(t, "")
	here, there := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, v1.Platform{OS: "linux", Architecture: "s390x"}
	other, err := mutate.ConfigFile(imageOf(t, "file b x"), &v1.ConfigFile{OS: "linux", Architecture: "s390x", RootFS: v1.RootFS{Type: "layers"}})
	require.NoError(t, err)
	both := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: other, Descriptor: v1.Descriptor{Platform: &there}},
		mutate.IndexAddendum{Add: imageOf(t, "file a x"), Descriptor: v1.Descriptor{Platform: &here}})
	r, err := name.ParseReference(host + "/both")
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(r, both))
	im, err := s.Pull(t.Context(), host+"/both", Credentials{})
	require.NoError(t, err)
	digest, err := both.Digest()
	require.NoError(t, err)
	require.Equal(t, []string{host + "/both@" + digest.String()}, im.Digests, "the digest by which the registry has all of them")
	found, err := s.Find(host + "/both@" + digest.String())
	require.NoError(t, err)
	require.Equal(t, im.ID, found.ID)

	push(t, host+"/other", "", other)
	_, err = s.Pull(t.Context(), host+"/other", Credentials{})
	require.Error(t, err)

	// The same by an archive.
	dir := filepath.Join(t.TempDir(), "layout")
	_, err = layout.Write(dir, both)
	require.NoError(t, err)
	_, err = s.ImportAs(t.Context(), dir, "both:v1")
	require.NoError(t, err)
}

// TestFullDisk has a store on a file system that a layer does not fit on.
func TestFullDisk(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"))
	defer func() { require.NoError(t, unmount(dir)) }()
	s, err := Open(dir, Config{})
	require.NoError(t, err)
	_, err = s.Add(t.Context(), "big", imageOf(t, "file a "+strings.Repeat("x", 2<<20)))
	require.ErrorIs(t, err, unix.ENOSPC)
	entries, err := os.ReadDir(s.path("tmp"))
	require.NoError(t, err)
	require.Empty(t, entries)
	_, err = s.Add(t.Context(), "small", imageOf(t, "file a x"))
	require.NoError(t, err)
}

// TestKilledWhileUnpacking kills a process, this test's program again, in the middle of a
// layer.
func TestKilledWhileUnpacking(t *testing.T) {
	needRoot(t)
	if dir := os.Getenv("SEATRIAL_TEST_STORE"); dir != "" {
		addForever(t, dir)
		return
	}
	dir := t.TempDir()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestKilledWhileUnpacking$")
	cmd.Env = append(os.Environ(), "SEATRIAL_TEST_STORE="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	half, err := filepath.Glob(filepath.Join(dir, "tmp", "*", "layer", "fs", "a"))
	require.NoError(t, err)
	require.Len(t, half, 1)
	_, err = Open(dir, Config{})
	require.NoError(t, err)
	require.FileExists(t, half[0], "its process lives")
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	s, err := Open(dir, Config{})
	require.NoError(t, err)
	require.NoFileExists(t, half[0])
	_, err = s.Add(t.Context(), "web", imageOf(t, "file a x\nfile b y"))
	require.NoError(t, err)
}

// addForever adds a layer that stops after its first file, and says so.
func addForever(t *testing.T, dir string) {
	s, err := Open(dir, Config{})
	require.NoError(t, err)
	r, w := io.Pipe()
	go func() {
		w.Write(layerOf(t, "file a x\nfile b y")[:1024])
		w.Write(make([]byte, 1)) // read when the file has been written
		fmt.Println("unpacking")
	}()
	_, err = unpackIn(t, s, r)
	require.NoError(t, err)
}

func unpackIn(t *testing.T, s *Store, r io.ReadCloser) (unpacked, error) {
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layerOf(t, "file a x"))), nil })
	require.NoError(t, err)
	diffID, err := l.DiffID()
	require.NoError(t, err)
	return s.unpackLayer(t.Context(), diffID, piped{l, r})
}

type piped struct {
	v1.Layer
	r io.ReadCloser
}

func (p piped) Uncompressed() (io.ReadCloser, error) { return p.r, nil }

// TestWrongContentIsRefused changes a blob behind a layout's back.
func TestWrongContentIsRefused(t *testing.T) {
	for _, what := range []string{"manifest", "config", "layer"} {
		t.Run(what, func(t *testing.T) {
			s := open(t, Config{})
			img := imageOf(t, "file a x")
			dir := filepath.Join(t.TempDir(), "layout")
			require.NoError(t, WriteLayout(dir, []Named{{"web:v1", img}}))
			m, err := img.Manifest()
			require.NoError(t, err)
			digest, err := img.Digest()
			require.NoError(t, err)
			hex := map[string]string{"manifest": digest.Hex, "config": m.Config.Digest.Hex, "layer": m.Layers[0].Digest.Hex}[what]
			file := filepath.Join(dir, "blobs", "sha256", hex)
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			if what == "layer" {
				l, err := imageOf(t, "file a y").Layers()
				require.NoError(t, err)
				r, err := l[0].Compressed()
				require.NoError(t, err)
				raw, err = io.ReadAll(r)
				require.NoError(t, err)
			} else {
				raw = bytes.Replace(raw, []byte("{"), []byte("{ "), 1)
			}
			require.NoError(t, os.WriteFile(file, raw, 0o644))
			_, err = s.Import(t.Context(), dir)
			require.ErrorIs(t, err, ErrWrongContent)
			list, err := s.List()
			require.NoError(t, err)
			require.Empty(t, list)
		})
	}
}

// TestOpenSweepsWhatACrashLeft has a store whose process ended while it unpacked.
func TestOpenSweepsWhatACrashLeft(t *testing.T) {
	s := open(t, Config{})
	_, err := s.Add(t.Context(), "web", imageOf(t, "file a x"))
	require.NoError(t, err)
	half := s.path("tmp", "half", "layer", "fs")
	require.NoError(t, os.MkdirAll(half, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(half, "a"), nil, 0o600))
	require.NoError(t, os.MkdirAll(s.path("layers", strings.Repeat("0", 64), "fs"), 0o755))
	living, end, err := s.scratch()
	require.NoError(t, err)
	defer end()

	s, err = Open(s.dir, Config{})
	require.NoError(t, err)
	require.NoDirExists(t, s.path("tmp", "half"))
	require.DirExists(t, living, "another process is at work there")
	entries, err := os.ReadDir(s.path("layers"))
	require.NoError(t, err)
	require.Len(t, entries, 1, "the layer without an image is gone")
	rootfs, err := s.Mount("web", "a")
	require.NoError(t, err)
	require.NoError(t, s.Unmount("a"))

	// The host itself crashes: the record is there, the mount is not.
	_, err = s.Mount("web", "b")
	require.NoError(t, err)
	require.NoError(t, unmount(filepath.Join(s.config.Containers, "b", "rootfs")))
	again, err := s.Mount("web", "b")
	require.NoError(t, err)
	require.NotEqual(t, rootfs, again)
	require.FileExists(t, filepath.Join(again, "a"))
	require.NoError(t, s.Unmount("b"))
}

func TestUnmountKeepsWhatIsMountedBelow(t *testing.T) {
	s := open(t, Config{})
	_, err := s.Add(t.Context(), "web", imageOf(t, "dir data"))
	require.NoError(t, err)
	rootfs, err := s.Mount("web", "a")
	require.NoError(t, err)
	volume := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(volume, "kept"), nil, 0o600))
	require.NoError(t, bind(volume, filepath.Join(rootfs, "data")))
	require.Error(t, s.Unmount("a"))
	require.FileExists(t, filepath.Join(volume, "kept"))
	require.NoError(t, unmount(filepath.Join(rootfs, "data")))
	require.NoError(t, s.Unmount("a"))
}

func TestImport(t *testing.T) {
	img := imageOf(t, three...)
	dir := t.TempDir()
	folder := filepath.Join(dir, "layout")
	require.NoError(t, WriteLayout(folder, []Named{{"web:v1", img}, {"seatrial.dev/demo/web:v2", imageOf(t, "file b x")}}))
	tag, err := name.NewTag("web:v1")
	require.NoError(t, err)
	saved := filepath.Join(dir, "saved.tar")
	require.NoError(t, tarball.WriteToFile(saved, tag, img))
	packed := filepath.Join(dir, "layout.tar")
	packFolder(t, packed, folder)
	for _, file := range []string{folder, packed, saved} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			s := open(t, Config{})
			_, err := s.Import(t.Context(), file)
			require.NoError(t, err)
			im, err := s.Find("web:v1")
			require.NoError(t, err)
			require.Len(t, im.Layers, 3)
			if file == saved {
				im, err = s.ImportAs(t.Context(), file, "other:v1")
				require.NoError(t, err)
				require.Equal(t, []string{"docker.io/library/other:v1", "docker.io/library/web:v1"}, im.Names)
			}
		})
	}
}

// TestAddToLayout: several names of one image, and a name that gets another image.
func TestAddToLayout(t *testing.T) {
	a, b := imageOf(t, "file a x"), imageOf(t, "file b x")
	dir := filepath.Join(t.TempDir(), "layout")
	for _, n := range []Named{{"web:v1", a}, {"web:latest", a}, {"moved:v1", a}, {"moved:v1", b}} {
		require.NoError(t, AddToLayout(dir, n))
	}
	s := open(t, Config{})
	_, err := s.Import(t.Context(), dir)
	require.NoError(t, err)
	names := map[string][]string{}
	for _, n := range []string{"web:v1", "moved:v1"} {
		im, err := s.Find(n)
		require.NoError(t, err)
		names[n] = im.Names
	}
	require.Equal(t, map[string][]string{
		"web:v1":   {"docker.io/library/web:latest", "docker.io/library/web:v1"},
		"moved:v1": {"docker.io/library/moved:v1"},
	}, names)
	other := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(other, "f"), nil, 0o600))
	require.ErrorContains(t, AddToLayout(other, Named{"web:v1", a}), "it stays as it is")
}

func packFolder(t *testing.T, file, folder string) {
	f, err := os.Create(file)
	require.NoError(t, err)
	defer f.Close()
	w := tar.NewWriter(f)
	require.NoError(t, w.AddFS(os.DirFS(folder)))
	require.NoError(t, w.Close())
}

func TestImportRefuses(t *testing.T) {
	s := open(t, Config{Limits: Limits{ManifestBytes: 200, ArchiveEntries: 5}})
	dir := t.TempDir()
	put := func(name, content string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
		return file
	}
	archive := func(lines string) string { return string(layerOf(t, lines)) }
	for file, want := range map[string]string{
		filepath.Join(dir, "nowhere"):                                              "no such file",
		put("text", strings.Repeat("no archive ", 100)):                            "cannot be read as an archive",
		put("other.tar", archive("file a x")):                                      "neither a manifest.json (docker save) nor an index.json",
		put("big.tar", archive("file manifest.json "+strings.Repeat("x", 300))):    "limit ManifestBytes",
		put("bad.tar", archive("file manifest.json []]")):                          "there is no image in its manifest.json",
		put("many.tar", archive("file a\nfile b\nfile c\nfile d\nfile e\nfile f")): "limit ArchiveEntries",
		filepath.Dir(put("folder/file", "")):                                       "it is no OCI layout",
		filepath.Dir(put("none/index.json", `{"manifests":[]}`)):                   "there is no image in it",
		filepath.Dir(put("long/index.json", strings.Repeat(" ", 300))):             "limit ManifestBytes",
	} {
		_, err := s.Import(t.Context(), file)
		require.ErrorContains(t, err, want, file)
	}
}

func TestBuildIsReproducible(t *testing.T) {
	digest := func() string {
		dir := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "bin"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "bin", "run"), []byte("#!"), 0o711))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "data"), []byte("x"), 0o600))
		require.NoError(t, os.Symlink("bin/run", filepath.Join(dir, "run")))
		img, err := Build(Spec{Name: "web:v1", From: dir, Entrypoint: []string{"/run"}, Env: []string{"A=b"}, Ports: []string{"80", "53/udp"}, User: "1000", WorkDir: "/data"})
		require.NoError(t, err)
		d, err := img.Digest()
		require.NoError(t, err)
		return d.String()
	}
	require.Equal(t, digest(), digest())
}

func TestResolveUser(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "etc"), 0o755))
	write := func(file, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "etc", file), []byte(text), 0o644))
	}
	write("passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv:/bin/false\n# note\nbad\nhuge:x:4294967295:1::/:\n")
	write("group", "root:x:0:\nwww:x:34:\nlogs:x:50:web,root\nvideo:x:44:web\nlogs2:x:x:web\n")
	for spec, want := range map[string]User{
		"":         {Name: "root", UID: 0, GID: 0, Groups: []uint32{50}, Home: "/root"},
		"web":      {Name: "web", UID: 33, GID: 34, Groups: []uint32{44, 50}, Home: "/srv"},
		"33":       {Name: "web", UID: 33, GID: 34, Groups: []uint32{44, 50}, Home: "/srv"},
		"web:logs": {Name: "web", UID: 33, GID: 50, Groups: []uint32{44, 50}, Home: "/srv"},
		"1000:7":   {UID: 1000, GID: 7, Home: "/"},
		"1000":     {UID: 1000, Home: "/"},
	} {
		got, err := ResolveUser(dir, spec)
		require.NoError(t, err, spec)
		require.Equal(t, want, got, spec)
	}
	for spec, want := range map[string]string{
		"nobody": `there is no "nobody" in its /etc/passwd`, "web:none": `there is no group "none"`, "web:": "want USER or USER:GROUP",
		"-1": "there is no", "4294967295": "/etc/passwd", "4294967296": "there is no", "huge": "want a number from 0",
	} {
		_, err := ResolveUser(dir, spec)
		require.ErrorContains(t, err, want, spec)
	}
	require.NoError(t, os.Remove(filepath.Join(dir, "etc", "passwd")))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "etc", "passwd")))
	_, err := ResolveUser(dir, "root")
	require.ErrorContains(t, err, "escapes")
	require.NoError(t, os.Remove(filepath.Join(dir, "etc", "passwd")))
	require.NoError(t, mkfifo(filepath.Join(dir, "etc", "passwd")))
	_, err = ResolveUser(dir, "root")
	require.ErrorContains(t, err, "not a file")
}

func TestCredentials(t *testing.T) {
	for pattern, want := range map[string]bool{
		"registry.example.com": true, "*.example.com": true, "registry.example.com/team": true, "reg*.example.com/team/web": true,
		"example.com": false, "registry.example.com:5000": false, "registry.example.com/other": false, "*": false, "*.*": false,
	} {
		require.Equal(t, want, matches(pattern, "registry.example.com", "team/web"), pattern)
	}
	hub, err := ParseDockerCfg([]byte(`{"https://index.docker.io/v1/":{"username":"me","password":"p"}}`))
	require.NoError(t, err)
	r, err := parse("busybox")
	require.NoError(t, err)
	require.Equal(t, []authn.AuthConfig{{Username: "me", Password: "p"}}, hub.matching(r.Context()))
	for raw, want := range map[string]string{
		`{"auths":{"a":{"auth":"c2VjcmV0"}}}`: `auths["a"]: auth has no colon`,
		`{"auths":{"a":{"auth":"%%"}}}`:       "not base64",
		`{"auths":"secret"}`:                  "want map",
		`secret`:                              "wrong at byte 1",
	} {
		_, err := ParseDockerConfigJSON([]byte(raw))
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "secret")
	}
}

func BenchmarkMount(b *testing.B) {
	s := open(b, Config{})
	_, err := s.Add(b.Context(), "web", imageOf(b, three...))
	require.NoError(b, err)
	for b.Loop() {
		_, err := s.Mount("web", "a")
		require.NoError(b, err)
		require.NoError(b, s.Unmount("a"))
	}
}
