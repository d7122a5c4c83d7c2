package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/live/tree"
)

// Mounted says of which image a container is made.
type Mounted struct {
	ID       string `json:"id"`
	Manifest string `json:"manifest"`
	Dir      string `json:"dir"` // the container's folder: upper, work and rootfs are in it
}

// Rootfs is where the container's root file system is.
func (m Mounted) Rootfs() string { return filepath.Join(m.Dir, "rootfs") }

// Mounts lists the containers of all who share the store, sorted by ID. After a crash of
// the host there may be some that are mounted no longer.
func (s *Store) Mounts() ([]Mounted, error) {
	entries, err := os.ReadDir(s.path("mounts"))
	if err != nil {
		return nil, err
	}
	var out []Mounted
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // one being written
		}
		m, err := s.readMount(s.path("mounts", e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Mounted) int {
		return strings.Compare(a.ID+"\x00"+a.Dir, b.ID+"\x00"+b.Dir)
	})
	return out, nil
}

func (s *Store) readMount(file string) (m Mounted, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

// mountFile is apart for hosts that share the store and have containers of one ID.
func (s *Store) mountFile(id string) string {
	return s.path("mounts", id+"-"+digestOf([]byte(s.config.Containers))[7:19])
}

// Mount gives container id a root file system made of the image: its layers, and on top
// what the container writes, which is lost with Unmount or a crash of the host. It
// returns the path. What is mounted already stays.
func (s *Store) Mount(ref, id string) (rootfs string, err error) {
	if err := checkID(id); err != nil {
		return "", err
	}
	l, err := lock(s.path(inUseLock), unix.LOCK_SH)
	if err != nil {
		return "", err
	}
	defer l.Close()
	im, err := s.Find(ref)
	if err != nil {
		return "", err
	}
	m := Mounted{ID: id, Manifest: im.Digest, Dir: filepath.Join(s.config.Containers, id)}
	if there, err := s.readMount(s.mountFile(id)); err == nil {
		mounted, err := isMountPoint(m.Rootfs())
		if err != nil {
			return "", err
		}
		if mounted && there.Manifest == m.Manifest {
			return m.Rootfs(), nil
		}
		if mounted {
			return "", fmt.Errorf("mount image %s for container %s: it already has a root file system, of %s", ref, id, there.Manifest)
		}
	}
	if err := s.mount(im, m); err != nil {
		return "", fmt.Errorf("mount image %s for container %s: %w", ref, id, err)
	}
	return m.Rootfs(), nil
}

func (s *Store) mount(im Image, m Mounted) (err error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := writeFile(s.mountFile(m.ID), raw); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Unmount(m.ID))
		}
	}()
	if err := removeTree(m.Dir); err != nil { // of before a crash of the host
		return err
	}
	for _, d := range []string{m.Dir, filepath.Join(m.Dir, "work"), m.Rootfs()} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return err
		}
	}
	layers, err := s.lowers(im)
	if err != nil {
		return err
	}
	if err := s.makeUpper(filepath.Join(m.Dir, "upper"), layers); err != nil {
		return err
	}
	return overlay(m.Dir, layers)
}

// lowers are the folders of the layers, the top one first, each once.
func (s *Store) lowers(im Image) (dirs []string, err error) {
	for _, l := range slices.Backward(im.Layers) {
		h, err := v1.NewHash(l)
		if err != nil {
			return nil, err
		}
		// The kernel refuses a folder that is there twice. All that the lower of the two
		// shows or hides, the upper shows or hides too.
		if d := filepath.Join(s.layerDir(h), "fs"); !slices.Contains(dirs, d) {
			dirs = append(dirs, d)
		}
	}
	if len(dirs) == 0 {
		d := s.path("empty")
		if err := os.Mkdir(d, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		dirs = []string{d}
	}
	return dirs, nil
}

// makeUpper makes the container's own layer, whose root has the owner and mode of the
// image's: it is what the container sees as "/".
func (s *Store) makeUpper(dir string, layers []string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(layers[0], &st); err != nil {
		return err
	}
	if err := os.Chown(dir, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	return unix.Chmod(dir, st.Mode&0o7777)
}

// Unmount takes a container's root file system away, with all it has written. It is no
// error if there is none.
func (s *Store) Unmount(id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	m, err := s.readMount(s.mountFile(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if m.Dir != filepath.Join(s.config.Containers, id) {
		return fmt.Errorf("%s: its folder is %s, want one in %s", s.mountFile(id), m.Dir, s.config.Containers)
	}
	err = unix.Unmount(m.Rootfs(), unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", m.Rootfs(), err)
	}
	if err := removeTree(m.Dir); err != nil {
		return err
	}
	return os.Remove(s.mountFile(id))
}

// removeTree removes a container's folder, unless something is still mounted below it,
// which would lose its content.
func removeTree(dir string) error {
	below, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	if len(below) > 0 {
		return fmt.Errorf("remove %s: %s is still mounted", dir, below[0])
	}
	return tree.Remove(dir)
}

func mountsBelow(dir string) (out []string, err error) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 4 {
			if at := unescape.Replace(f[4]); at == dir || strings.HasPrefix(at, dir+"/") {
				out = append(out, at)
			}
		}
	}
	return out, nil
}

// unescape undoes how the kernel writes blanks in paths.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func isMountPoint(dir string) (bool, error) {
	below, err := mountsBelow(dir)
	return slices.Contains(below, dir), err
}
