package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// Config says how a store behaves. The zero value is fine for a host of its own.
type Config struct {
	// Containers is the folder for what containers write; "" is one in the store. Hosts
	// that share a store (a lab's) have one each. It must not be on an overlayfs.
	Containers string
	// PlainHTTP names registries (HOST or HOST:PORT) that are spoken to without TLS.
	// Those on a loopback address always are, all others never.
	PlainHTTP []string
	// Limits bound what an image may cost.
	Limits Limits
}

// Store is the images of one host. Its methods may be called from several goroutines.
type Store struct {
	dir    string
	config Config
	pulls  flights[Image]
	layers flights[unpacked]
}

// Image is one image as the store has it.
type Image struct {
	Names  []string `json:"names"`  // canonical, sorted
	Digest string   `json:"digest"` // of the manifest
	ID     string   `json:"id"`     // digest of the configuration: a container status' imageID
	Bytes  int64    `json:"bytes"`  // of its unpacked layers
	Layers []string `json:"layers"` // diff IDs, the lowest first
	Run    Run      `json:"run"`
	// Digests are REPOSITORY@DIGEST under which registries have it.
	Digests []string  `json:"digests,omitempty"`
	Created time.Time `json:"created"`
}

// Run is what an image says about containers made of it.
type Run struct {
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Cmd        []string          `json:"cmd,omitempty"`
	Env        []string          `json:"env,omitempty"` // NAME=VALUE
	WorkingDir string            `json:"workingDir,omitempty"`
	User       string            `json:"user,omitempty"` // USER[:GROUP], names or numbers
	StopSignal string            `json:"stopSignal,omitempty"`
	Volumes    []string          `json:"volumes,omitempty"`
	Ports      []string          `json:"ports,omitempty"` // 8080/tcp
	Labels     map[string]string `json:"labels,omitempty"`
}

// index is the file of names.
type index struct {
	Images map[string]named `json:"images"` // by canonical name
}

type named struct {
	Manifest string   `json:"manifest"`
	Digests  []string `json:"digests,omitempty"`
}

// Open makes the folder a store, or opens it, and sweeps what a crash has left.
func Open(dir string, config Config) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if config.Containers == "" {
		config.Containers = filepath.Join(dir, "containers")
	}
	config.Limits = config.Limits.withDefaults()
	s := &Store{dir: dir, config: config}
	// Others on the host must not reach set-user-ID programs of images.
	for _, d := range []string{dir, s.path("blobs", "sha256"), s.path("layers"), s.path("mounts"), s.path("tmp"), config.Containers} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("open image store: %w", err)
		}
	}
	if _, err := s.readIndex(); err != nil {
		return nil, err
	}
	if err := s.sweep(); err != nil {
		return nil, fmt.Errorf("sweep image store %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

func (s *Store) layerDir(diffID v1.Hash) string { return s.path("layers", diffID.Hex) }

// List returns all images, sorted by their first names.
func (s *Store) List() ([]Image, error) {
	x, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	var out []Image
	seen := map[string]bool{}
	for _, n := range slices.Sorted(maps.Keys(x.Images)) {
		m := x.Images[n].Manifest
		if seen[m] {
			continue
		}
		seen[m] = true
		im, err := s.describe(m, x)
		if err != nil {
			return nil, err
		}
		out = append(out, im)
	}
	return out, nil
}

// Find looks up a name in any spelling, REPOSITORY@DIGEST, a digest or an ID. The error
// wraps ErrNotFound or ErrInvalidName.
func (s *Store) Find(ref string) (Image, error) {
	x, err := s.readIndex()
	if err != nil {
		return Image{}, err
	}
	manifest, err := s.lookUp(ref, x)
	if err != nil {
		return Image{}, err
	}
	return s.describe(manifest, x)
}

// lookUp is the digest of the manifest that ref stands for.
func (s *Store) lookUp(ref string, x index) (string, error) {
	if digestPattern.MatchString(ref) {
		for _, n := range slices.Sorted(maps.Keys(x.Images)) {
			m := x.Images[n].Manifest
			if m == ref {
				return m, nil
			}
			if im, err := s.describe(m, x); err == nil && im.ID == ref {
				return m, nil
			}
		}
		return "", fmt.Errorf("image %s: %w: no image here has this digest or ID", ref, ErrNotFound)
	}
	full, err := Canonical(ref)
	if err != nil {
		return "", err
	}
	if n, ok := x.Images[full]; ok {
		return n.Manifest, nil
	}
	repo, digest, _ := strings.Cut(full, "@")
	for n, e := range x.Images {
		if slices.Contains(e.Digests, full) || digest != "" && e.Manifest == digest && strings.HasPrefix(n, repo+":") {
			return e.Manifest, nil
		}
	}
	return "", s.notFound(ref, full, x)
}

// notFound names the tags that are here, as the likeliest mistake is a tag.
func (s *Store) notFound(ref, full string, x index) error {
	said := fmt.Sprintf("image %q", ref)
	if full != ref {
		said += " (" + full + ")"
	}
	repo := full[:max(strings.LastIndexAny(full, ":@"), 0)]
	repo, _, _ = strings.Cut(repo, "@")
	var tags []string
	for n := range x.Images {
		if strings.HasPrefix(n, repo+":") {
			tags = append(tags, n[len(repo)+1:])
		}
	}
	if len(tags) == 0 {
		return fmt.Errorf("%s: %w on this host", said, ErrNotFound)
	}
	slices.Sort(tags)
	return fmt.Errorf("%s: %w on this host, which has it with %s", said, ErrNotFound, strings.Join(tags, ", "))
}

// describe reads an image's manifest and configuration.
func (s *Store) describe(manifest string, x index) (Image, error) {
	m, config, err := s.readImage(manifest)
	if err != nil {
		return Image{}, err
	}
	im := Image{Digest: manifest, ID: m.Config.Digest.String(), Run: runOf(config.Config), Created: config.Created.Time}
	for _, d := range config.RootFS.DiffIDs {
		im.Layers = append(im.Layers, d.String())
		im.Bytes += s.layerSize(d).Bytes
	}
	for n, e := range x.Images {
		if e.Manifest == manifest {
			im.Names = append(im.Names, n)
			im.Digests = append(im.Digests, e.Digests...)
		}
	}
	slices.Sort(im.Names)
	slices.Sort(im.Digests)
	im.Digests = slices.Compact(im.Digests)
	return im, nil
}

func runOf(c v1.Config) Run {
	return Run{
		Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env, WorkingDir: c.WorkingDir, User: c.User, StopSignal: c.StopSignal,
		Volumes: slices.Sorted(maps.Keys(c.Volumes)), Ports: slices.Sorted(maps.Keys(c.ExposedPorts)), Labels: c.Labels,
	}
}

func (s *Store) readImage(manifest string) (*v1.Manifest, *v1.ConfigFile, error) {
	raw, err := s.readBlob(manifest)
	if err != nil {
		return nil, nil, err
	}
	m, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, nil, fmt.Errorf("manifest %s: %w", manifest, err)
	}
	raw, err = s.readBlob(m.Config.Digest.String())
	if err != nil {
		return nil, nil, err
	}
	config, err := v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return nil, nil, fmt.Errorf("configuration %s: %w", m.Config.Digest, err)
	}
	return m, config, nil
}

func (s *Store) readBlob(digest string) ([]byte, error) {
	if !digestPattern.MatchString(digest) {
		return nil, fmt.Errorf("digest %q: want sha256: and 64 hexadecimal digits", digest)
	}
	raw, err := os.ReadFile(s.blobFile(digest))
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	return raw, nil
}

func (s *Store) blobFile(digest string) string {
	return s.path("blobs", "sha256", strings.TrimPrefix(digest, "sha256:"))
}

func (s *Store) layerSize(diffID v1.Hash) unpacked {
	var u unpacked
	if raw, err := os.ReadFile(filepath.Join(s.layerDir(diffID), "size")); err == nil {
		_ = json.Unmarshal(raw, &u) // a size that cannot be read counts as none
	}
	return u
}

// Remove takes a name away, or with a digest or ID all names of an image, and then what
// no name and no container needs. An image that a container is made of keeps its last
// name: the error wraps ErrInUse.
func (s *Store) Remove(ref string) error {
	err := s.changeIndex(func(x *index) error {
		manifest, err := s.lookUp(ref, *x)
		if err != nil {
			return err
		}
		full := ""
		if !digestPattern.MatchString(ref) {
			if full, err = Canonical(ref); err != nil {
				return err
			}
		}
		_, byName := x.Images[full]
		left := 0
		for n, e := range x.Images {
			switch {
			case e.Manifest != manifest:
			case byName && n != full:
				left++
			default:
				delete(x.Images, n)
			}
		}
		if left > 0 {
			return nil
		}
		users, err := s.Mounts()
		if err != nil {
			return err
		}
		for _, u := range users {
			if u.Manifest == manifest {
				return fmt.Errorf("image %q: %w, %s", ref, ErrInUse, u.ID)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.collect()
}

// Prune removes all images that no container is made of, of any host that shares the
// store, and returns them. What is removed is pulled or imported again when it is needed.
func (s *Store) Prune() (removed []Image, err error) {
	err = s.changeIndex(func(x *index) error {
		users, err := s.Mounts()
		if err != nil {
			return err
		}
		used := map[string]bool{}
		for _, u := range users {
			used[u.Manifest] = true
		}
		for _, n := range slices.Sorted(maps.Keys(x.Images)) {
			m := x.Images[n].Manifest
			if used[m] || slices.ContainsFunc(removed, func(im Image) bool { return im.Digest == m }) {
				continue
			}
			im, err := s.describe(m, *x)
			if err != nil {
				return err
			}
			removed = append(removed, im)
		}
		for _, im := range removed {
			for _, n := range im.Names {
				delete(x.Images, n)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return removed, s.collect()
}

// Locks of the store, in the order in which they are taken. inUse is shared by whoever
// adds or mounts an image, and held alone while what nobody needs is removed; names is
// held while the index is changed.
const (
	inUseLock = "in-use.lock"
	namesLock = "names.lock"
)

func (s *Store) changeIndex(change func(*index) error) error {
	l, err := lock(s.path(namesLock), unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer l.Close()
	x, err := s.readIndex()
	if err != nil {
		return err
	}
	if err := change(&x); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(s.path("index.json"), raw)
}

func (s *Store) readIndex() (index, error) {
	x := index{Images: map[string]named{}}
	raw, err := os.ReadFile(s.path("index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return x, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &x)
	}
	if err != nil {
		return x, fmt.Errorf("read index of image store: %s: %w", s.path("index.json"), err)
	}
	if x.Images == nil {
		x.Images = map[string]named{}
	}
	return x, nil
}

// lock takes a lock of the operating system, which ends with the process.
func lock(file string, how int) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, how); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "lock", Path: file, Err: err}
	}
	return f, nil
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// writeFile puts a whole file in place: after a crash there is the old or the new one.
func writeFile(file string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // there is none after the rename
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
