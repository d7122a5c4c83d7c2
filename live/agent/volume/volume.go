package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/nodeagent/inject"
)

// Setup makes all volumes of a pod below dir, or brings them up to date. The error is
// fit for an event of the reason FailedMount. update leaves out what only a start needs.
func Setup(dir string, about *inject.About, objects *inject.Objects, update bool) error {
	for i := range about.Pod.Spec.Volumes {
		v := &about.Pod.Spec.Volumes[i]
		if update && !inject.Made(v) {
			continue
		}
		if err := setup(filepath.Join(dir, v.Name), about, v, objects); err != nil {
			return fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", v.Name, err)
		}
	}
	return nil
}

func setup(dir string, about *inject.About, v *corev1.Volume, objects *inject.Objects) error {
	to := ownerOf(about.Pod)
	switch {
	case v.EmptyDir != nil:
		return setupEmpty(dir, v.EmptyDir, to)
	case v.HostPath != nil:
		return checkHostPath(v.HostPath)
	case inject.Made(v):
		files, err := inject.Payload(about, v, objects)
		if err != nil {
			return err
		}
		// What is secret is not to be on a disk.
		if v.ConfigMap == nil {
			if err := mountTmpfs(dir, "mode=0755"); err != nil {
				return err
			}
		} else if err := makeDir(dir); err != nil {
			return err
		}
		return writeFiles(dir, files, to)
	}
	return fmt.Errorf("volumes of kind %s are not supported by this node's agent: want one of emptyDir, hostPath, configMap, secret, downwardAPI, projected", kindOf(v))
}

// kindOf is the name of the field that says what a volume is.
func kindOf(v *corev1.Volume) string {
	s := reflect.ValueOf(&v.VolumeSource).Elem()
	for i := range s.NumField() {
		if !s.Field(i).IsNil() {
			name, _, _ := strings.Cut(s.Type().Field(i).Tag.Get("json"), ",")
			return name
		}
	}
	return "none"
}

// ownerOf is to whom files of the pod's volumes belong: its group, and its user where
// all containers have the same.
func ownerOf(pod *corev1.Pod) owner {
	to := owner{-1, -1}
	if s := pod.Spec.SecurityContext; s != nil && s.FSGroup != nil {
		to.gid = int(*s.FSGroup)
	}
	var users []int64
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			user := int64(-1)
			if s := pod.Spec.SecurityContext; s != nil && s.RunAsUser != nil {
				user = *s.RunAsUser
			}
			if s := list[i].SecurityContext; s != nil && s.RunAsUser != nil {
				user = *s.RunAsUser
			}
			users = append(users, user)
		}
	}
	slices.Sort(users)
	if users = slices.Compact(users); len(users) == 1 && users[0] >= 0 {
		to.uid = int(users[0])
	}
	return to
}

func makeDir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func setupEmpty(dir string, e *corev1.EmptyDirVolumeSource, to owner) error {
	switch e.Medium {
	case corev1.StorageMediumDefault:
		if _, err := os.Lstat(dir); err == nil {
			return nil // what is in it is the pod's by now
		}
		if err := makeDir(dir); err != nil {
			return err
		}
	case corev1.StorageMediumMemory:
		if is, err := isMounted(dir); err != nil || is {
			return err
		}
		options := "mode=0777"
		if e.SizeLimit != nil && e.SizeLimit.Cmp(resource.Quantity{}) > 0 {
			options += ",size=" + strconv.FormatInt(e.SizeLimit.Value(), 10)
		}
		if err := mountTmpfs(dir, options); err != nil {
			return err
		}
	default:
		return fmt.Errorf("emptyDir medium %q: want Memory, or none for the host's disk", e.Medium)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		return err
	}
	if to.gid < 0 {
		return nil
	}
	if err := os.Lchown(dir, -1, to.gid); err != nil {
		return err
	}
	return os.Chmod(dir, 0o777|fs.ModeSetgid)
}

func isMounted(dir string) (bool, error) {
	var at, above unix.Stat_t
	if err := unix.Lstat(dir, &at); err == unix.ENOENT {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if err := unix.Lstat(filepath.Dir(dir), &above); err != nil {
		return false, err
	}
	return at.Dev != above.Dev, nil
}

func mountTmpfs(dir, options string) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	if is, err := isMounted(dir); err != nil || is {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	return nil
}

// Teardown removes the volumes below dir, and dir. What a hostPath names is not there;
// what a container has mounted in a volume is unmounted, never emptied.
func Teardown(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	mounts, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for _, at := range slices.Backward(mounts) {
		if err := unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && err != unix.EINVAL {
			return &fs.PathError{Op: "unmount", Path: at, Err: err}
		}
	}
	if mounts, err = mountsBelow(dir); err != nil {
		return err
	}
	if len(mounts) > 0 {
		return fmt.Errorf("remove the volumes in %s: still mounted: %v", dir, mounts)
	}
	return os.RemoveAll(dir)
}

// mountsBelow are the mounts below a folder, in the order in which they were made.
func mountsBelow(dir string) ([]string, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var out []string
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 4 {
			if at := unescape.Replace(f[4]); strings.HasPrefix(at, real+"/") {
				out = append(out, at)
			}
		}
	}
	return out, nil
}

// Mounts are a container's mounts of the pod's volumes below dir. value is its
// environment, for subPathExpr.
func Mounts(dir string, pod *corev1.Pod, c *corev1.Container, value func(string) (string, bool)) ([]runtime.Mount, error) {
	if len(c.VolumeDevices) > 0 {
		return nil, fmt.Errorf("volumeDevices are not supported by this node's agent")
	}
	out := make([]runtime.Mount, 0, len(c.VolumeMounts))
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		at := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if at < 0 {
			return nil, fmt.Errorf("volumeMounts[%d]: the pod has no volume %q", i, m.Name)
		}
		v := &pod.Spec.Volumes[at]
		to := runtime.Mount{Source: filepath.Join(dir, v.Name), Target: m.MountPath, ReadOnly: m.ReadOnly || inject.Made(v), SubPath: m.SubPath}
		if !filepath.IsAbs(to.Target) {
			to.Target = "/" + to.Target
		}
		if v.HostPath != nil {
			to.Source = filepath.Clean(v.HostPath.Path)
		}
		if m.SubPathExpr != "" {
			if n := inject.Unknown(m.SubPathExpr, value); n != "" {
				return nil, fmt.Errorf("subPathExpr %q of volume %q: the container has no variable %s", m.SubPathExpr, m.Name, n)
			}
			to.SubPath = inject.Expand(m.SubPathExpr, value)
		}
		if filepath.IsAbs(to.SubPath) || slices.Contains(strings.Split(to.SubPath, "/"), "..") {
			return nil, fmt.Errorf("subPath %q of volume %q: want a path below the volume, without '..'", to.SubPath, m.Name)
		}
		if strings.Trim(to.SubPath, "/.") == "" {
			to.SubPath = ""
		}
		if p := m.MountPropagation; p != nil && *p != corev1.MountPropagationNone {
			to.Propagation = string(*p)
		}
		out = append(out, to)
	}
	return out, nil
}
