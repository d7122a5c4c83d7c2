package volume

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/nodeagent/inject"
)

func text(files map[string]string) map[string]inject.File {
	out := map[string]inject.File{}
	for name, s := range files {
		out[name] = inject.File{Data: []byte(s), Mode: 0o644}
	}
	return out
}

var nobody = owner{-1, -1}

// TestFilesChangeInOneStep reads through the links while files change: who has the folder
// sees all of one version.
func TestFilesChangeInOneStep(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, writeFiles(dir, text(map[string]string{"a": "1", "sub/b": "1", "gone": "x"}), nobody))
	read := func(name string) string {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return string(raw)
	}
	require.Equal(t, "11", read("a")+read("sub/b"))
	before, err := os.Readlink(filepath.Join(dir, dataLink))
	require.NoError(t, err)
	held, err := os.Open(filepath.Join(dir, before, "a"))
	require.NoError(t, err)
	defer held.Close()

	require.NoError(t, writeFiles(dir, text(map[string]string{"a": "1", "sub/b": "1", "gone": "x"}), nobody))
	same, err := os.Readlink(filepath.Join(dir, dataLink))
	require.NoError(t, err)
	require.Equal(t, before, same, "what is right is not touched")

	require.NoError(t, writeFiles(dir, text(map[string]string{"a": "2", "sub/b": "2", "new": "y"}), nobody))
	require.Equal(t, "22y", read("a")+read("sub/b")+read("new"))
	_, err = os.Lstat(filepath.Join(dir, "gone"))
	require.ErrorIs(t, err, os.ErrNotExist)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 5, "a, sub, new, ..data and its folder: %v", entries)

	// A process that ended in the middle left a link and a folder.
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, dataNewLink)))
	require.NoError(t, os.Mkdir(filepath.Join(dir, dataFolder+"left"), 0o755))
	require.NoError(t, writeFiles(dir, text(map[string]string{"a": "3"}), nobody))
	require.Equal(t, "3", read("a"))
	entries, err = os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 3)
}

func TestHostPathTypes(t *testing.T) {
	dir := t.TempDir()
	file, socket := filepath.Join(dir, "file"), filepath.Join(dir, "socket")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer l.Close()
	check := func(path string, kind corev1.HostPathType) error {
		return checkHostPath(&corev1.HostPathVolumeSource{Path: path, Type: &kind})
	}
	for kind, good := range map[corev1.HostPathType]string{
		corev1.HostPathDirectory: dir, corev1.HostPathFile: file, corev1.HostPathSocket: socket, corev1.HostPathCharDev: "/dev/null",
		corev1.HostPathDirectoryOrCreate: filepath.Join(dir, "new/deep"), corev1.HostPathFileOrCreate: filepath.Join(dir, "newfile"), corev1.HostPathUnset: file,
	} {
		require.NoError(t, check(good, kind), kind)
	}
	for kind, bad := range map[corev1.HostPathType]string{
		corev1.HostPathDirectory: file, corev1.HostPathFile: dir, corev1.HostPathSocket: file, corev1.HostPathCharDev: file, corev1.HostPathBlockDev: "/dev/null",
		corev1.HostPathDirectoryOrCreate: file, corev1.HostPathFileOrCreate: dir, "Other": dir,
	} {
		require.Error(t, check(bad, kind), kind)
	}
	require.ErrorContains(t, check(filepath.Join(dir, "none"), corev1.HostPathFile), "no such file")
	require.ErrorContains(t, check("relative", corev1.HostPathUnset), "absolute")
}

func pod(t *testing.T, text string) *corev1.Pod {
	p := &corev1.Pod{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), p))
	return p
}

func TestMounts(t *testing.T) {
	p := pod(t, `
spec:
  volumes: [{name: e, emptyDir: {}}, {name: h, hostPath: {path: /srv/x/}}, {name: m, configMap: {name: m}}]
  containers:
  - name: c
    volumeMounts:
    - {name: e, mountPath: /e, subPathExpr: "logs/$(POD)"}
    - {name: h, mountPath: /h, readOnly: true, mountPropagation: HostToContainer}
    - {name: m, mountPath: m, subPath: key}
  - {name: d, volumeMounts: [{name: e, mountPath: /e, subPathExpr: "$(NONE)"}]}
  - {name: f, volumeMounts: [{name: none, mountPath: /e}]}
  - {name: g, volumeDevices: [{name: e, devicePath: /dev/x}]}
  - {name: i, volumeMounts: [{name: e, mountPath: /e, subPathExpr: "$(UP)"}]}
  - {name: j, volumeMounts: [{name: e, mountPath: /e, subPathExpr: "$(ROOT)"}]}
`)
	value := func(n string) (string, bool) {
		v, ok := map[string]string{"POD": "p1", "UP": "a/../..", "ROOT": "/tmp"}[n]
		return v, ok
	}
	got, err := Mounts("/pods/1", p, &p.Spec.Containers[0], value)
	require.NoError(t, err)
	out, err := yaml.Marshal(got)
	require.NoError(t, err)
	require.Equal(t, strings.TrimLeft(`
- source: /pods/1/e
  subPath: logs/p1
  target: /e
- propagation: HostToContainer
  readOnly: true
  source: /srv/x
  target: /h
- readOnly: true
  source: /pods/1/m
  subPath: key
  target: /m
`, "\n"), string(out))
	for i, want := range map[int]string{1: "no variable NONE", 2: `no volume "none"`, 3: "volumeDevices", 4: "below the volume", 5: "below the volume"} {
		_, err = Mounts("/pods/1", p, &p.Spec.Containers[i], value)
		require.ErrorContains(t, err, want)
	}
}

func TestSetupAndTeardown(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT RUN, volumes in memory need root")
	}
	p := pod(t, `
spec:
  securityContext: {fsGroup: 2000}
  volumes:
  - {name: disk, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory, sizeLimit: 64Ki}}
  - {name: secret, secret: {secretName: s}}
`)
	dir := filepath.Join(t.TempDir(), "volumes")
	require.NoError(t, os.Mkdir(dir, 0o700))
	about := &inject.About{Pod: p}
	objects := &inject.Objects{Secrets: map[string]*corev1.Secret{"s": {Data: map[string][]byte{"k": []byte("1")}}}}
	require.NoError(t, Setup(dir, about, objects, false))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "disk", "x"), []byte("kept"), 0o644))
	require.Error(t, os.WriteFile(filepath.Join(dir, "memory", "big"), make([]byte, 1<<20), 0o644), "the limit holds")
	info, err := os.Stat(filepath.Join(dir, "disk"))
	require.NoError(t, err)
	require.Equal(t, os.ModeSetgid|0o777, info.Mode()&(os.ModeSetgid|os.ModePerm))
	for _, name := range []string{"memory", "secret"} {
		is, err := isMounted(filepath.Join(dir, name))
		require.NoError(t, err)
		require.True(t, is, name)
	}

	objects.Secrets["s"].Data["k"] = []byte("2")
	require.NoError(t, Setup(dir, about, objects, true))
	require.NoError(t, Setup(dir, about, objects, false), "again, as after a restart")
	raw, err := os.ReadFile(filepath.Join(dir, "secret", "k"))
	require.NoError(t, err)
	require.Equal(t, "2", string(raw))
	raw, err = os.ReadFile(filepath.Join(dir, "disk", "x"))
	require.NoError(t, err)
	require.Equal(t, "kept", string(raw))

	require.NoError(t, Teardown(dir))
	require.NoError(t, Teardown(dir))
	_, err = os.Lstat(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: "HugePages"}}}}
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.ErrorContains(t, Setup(dir, about, objects, false), `MountVolume.SetUp failed for volume "v" : emptyDir medium "HugePages": want Memory`)
}
