package image

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// sweep removes what a crash has left: half-unpacked layers, and content that no name
// and no container needs.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.path("tmp"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := removeAbandoned(s.path("tmp", e.Name())); err != nil {
			return err
		}
	}
	return s.collect()
}

// removeAbandoned removes a folder whose maker no longer holds its lock.
func removeAbandoned(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if err := flock(d, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil // in use by a living process
	}
	return os.RemoveAll(dir)
}

// scratch makes a folder below tmp that stays until close, or until its process ends.
func (s *Store) scratch() (dir string, end func(), err error) {
	dir, err = os.MkdirTemp(s.path("tmp"), "")
	if err != nil {
		return "", nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	if err := flock(d, unix.LOCK_SH); err != nil {
		d.Close()
		return "", nil, err
	}
	return dir, func() {
		os.RemoveAll(dir) // what stays is swept by the next Open
		d.Close()
	}, nil
}

// collect removes layers and blobs that no name and no container needs. While an image
// is being added or mounted it does nothing: the next one does it.
func (s *Store) collect() error {
	l, err := lock(s.path(inUseLock), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Close()
	needed, err := s.needed()
	if err != nil {
		return err
	}
	for _, folder := range []string{"layers", filepath.Join("blobs", "sha256")} {
		entries, err := os.ReadDir(s.path(folder))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if needed[e.Name()] {
				continue
			}
			if err := s.discard(s.path(folder, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// needed are the file names in blobs and layers that images and containers are made of.
func (s *Store) needed() (map[string]bool, error) {
	x, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	mounts, err := s.Mounts()
	if err != nil {
		return nil, err
	}
	manifests := map[string]bool{}
	for _, e := range x.Images {
		manifests[e.Manifest] = true
	}
	for _, m := range mounts {
		manifests[m.Manifest] = true
	}
	out := map[string]bool{}
	for digest := range manifests {
		m, config, err := s.readImage(digest)
		if err != nil {
			return nil, err
		}
		out[digest[len("sha256:"):]] = true
		out[m.Config.Digest.Hex] = true
		for _, d := range config.RootFS.DiffIDs {
			out[d.Hex] = true
		}
	}
	return out, nil
}

// discard moves it away first, so that a layer is never seen half removed.
func (s *Store) discard(file string) error {
	dir, end, err := s.scratch()
	if err != nil {
		return err
	}
	defer end()
	return os.Rename(file, filepath.Join(dir, "discarded"))
}
