package image

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Annotations that hold an image's name in a layout's index. The first is the
// specification's, and often has the tag alone; the second is containerd's.
const (
	refAnnotation        = "org.opencontainers.image.ref.name"
	containerdAnnotation = "io.containerd.image.name"
)

// indexDepthMax is how deep indexes may lie in each other: a layout's own, and one by
// platform.
const indexDepthMax = 3

// Import takes in the images of an OCI layout (a folder, or an archive of one) or of a
// `docker save` archive, each under its own names. Archives may be gzipped.
func (s *Store) Import(ctx context.Context, file string) ([]Image, error) {
	return s.importAs(ctx, file, "")
}

// ImportAs is Import of a single image, under a name of the caller's choice.
func (s *Store) ImportAs(ctx context.Context, file, ref string) (Image, error) {
	full, err := Canonical(ref)
	if err != nil {
		return Image{}, err
	}
	list, err := s.importAs(ctx, file, full)
	if err != nil {
		return Image{}, err
	}
	return list[0], nil
}

// source is an image in an archive or a layout, with its names there.
type source struct {
	names []string
	img   v1.Image
}

func (s *Store) importAs(ctx context.Context, file, as string) ([]Image, error) {
	list, end, err := s.sources(ctx, file)
	defer end()
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", file, err)
	}
	if as != "" {
		if len(list) != 1 {
			return nil, fmt.Errorf("import %s as %s: it has %d images, want one", file, as, len(list))
		}
		list[0].names = []string{as}
	}
	var out []Image
	for i, src := range list {
		if len(src.names) == 0 {
			return nil, fmt.Errorf("import %s: image %d of %d in it has no name: give it one (--name)", file, i+1, len(list))
		}
		var im Image
		for _, n := range src.names {
			if im, err = s.Add(ctx, n, src.img); err != nil {
				return nil, fmt.Errorf("import %s: %w", file, err)
			}
		}
		out = append(out, im)
	}
	return out, nil
}

// sources opens what file is. The images may be read until end is called.
func (s *Store) sources(ctx context.Context, file string) (list []source, end func(), err error) {
	end = func() {}
	info, err := os.Stat(file)
	if err != nil {
		return nil, end, err
	}
	if info.IsDir() {
		list, err = s.layoutSources(file)
		return list, end, err
	}
	if !info.Mode().IsRegular() {
		return nil, end, errors.New("want a folder or a file")
	}
	a, err := s.scanArchive(file)
	if err != nil {
		return nil, end, err
	}
	if _, ok := a.sizes["manifest.json"]; ok {
		list, err = s.dockerSources(a)
		return list, end, err
	}
	if _, ok := a.sizes["index.json"]; !ok {
		return nil, end, errors.New("it has neither a manifest.json (docker save) nor an index.json (OCI layout)")
	}
	dir, end, err := s.scratch()
	if err != nil {
		return nil, func() {}, err
	}
	if err := a.extractLayout(ctx, dir); err != nil {
		return nil, end, err
	}
	list, err = s.layoutSources(dir)
	return list, end, err
}

// archive is a file whose entries have been looked through once.
type archive struct {
	file  string
	sizes map[string]int64
}

func (s *Store) scanArchive(file string) (archive, error) {
	a := archive{file, map[string]int64{}}
	r, err := a.open()
	if err != nil {
		return a, err
	}
	defer r.Close()
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return a, fmt.Errorf("it cannot be read as an archive (tar, or tar and gzip): %w", err)
		}
		a.sizes[path.Clean(h.Name)] = h.Size
		if len(a.sizes) > s.config.Limits.ArchiveEntries {
			return a, &LimitError{"ArchiveEntries", int64(s.config.Limits.ArchiveEntries), "the archive has too many entries"}
		}
	}
}

// open reads the archive from its beginning, through gzip if it is zipped.
func (a archive) open() (io.ReadCloser, error) {
	f, err := os.Open(a.file)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(f)
	if magic, err := r.Peek(2); err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
		return readCloser{r, f}, nil
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		f.Close()
		return nil, err
	}
	return readCloser{z, f}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// dockerSources reads a docker save archive. Its documents are read into memory, so
// their sizes are looked at first.
func (s *Store) dockerSources(a archive) (list []source, err error) {
	if n := a.sizes["manifest.json"]; n > s.config.Limits.ManifestBytes {
		return nil, &LimitError{"ManifestBytes", s.config.Limits.ManifestBytes, fmt.Sprintf("a manifest.json of %d bytes", n)}
	}
	manifest, err := tarball.LoadManifest(a.open)
	if err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	if len(manifest) == 0 {
		return nil, errors.New("there is no image in its manifest.json")
	}
	for _, d := range manifest {
		if n := a.sizes[path.Clean(d.Config)]; n > s.config.Limits.ConfigBytes {
			return nil, &LimitError{"ConfigBytes", s.config.Limits.ConfigBytes, fmt.Sprintf("a configuration of %d bytes", n)}
		}
		if n := len(d.Layers); n > s.config.Limits.LayersMax {
			return nil, &LimitError{"LayersMax", int64(s.config.Limits.LayersMax), fmt.Sprintf("an image of %d layers", n)}
		}
		var tag *name.Tag
		if len(d.RepoTags) > 0 {
			t, err := name.NewTag(d.RepoTags[0])
			if err != nil {
				return nil, fmt.Errorf("manifest.json: %w %q: %v", ErrInvalidName, d.RepoTags[0], err)
			}
			tag = &t
		} else if len(manifest) > 1 {
			return nil, fmt.Errorf("manifest.json has an image without a name among %d", len(manifest))
		}
		img, err := tarball.Image(a.open, tag)
		if err != nil {
			return nil, err
		}
		list = append(list, source{d.RepoTags, img})
	}
	return list, nil
}

// layoutFile are the names of a layout's files: nothing else is taken out of an archive.
var layoutFile = regexp.MustCompile(`^(oci-layout|index\.json|blobs/sha256/[0-9a-f]{64})$`)

// extractLayout takes a layout's files out of an archive. A layer's blob is smaller
// than what it unpacks to, so its limit serves.
func (a archive) extractLayout(ctx context.Context, dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o700); err != nil {
		return err
	}
	r, err := a.open()
	if err != nil {
		return err
	}
	defer r.Close()
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		file := path.Clean(h.Name)
		if h.Typeflag != tar.TypeReg || !layoutFile.MatchString(file) {
			continue
		}
		if err := extract(ctx, filepath.Join(dir, filepath.FromSlash(file)), tr); err != nil {
			return err
		}
	}
}

func extract(ctx context.Context, file string, r io.Reader) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, contextReader{ctx, r}); err != nil {
		return err
	}
	return f.Close()
}

func (s *Store) layoutSources(dir string) ([]source, error) {
	if info, err := os.Stat(filepath.Join(dir, "index.json")); err != nil {
		return nil, fmt.Errorf("it is no OCI layout: %w", err)
	} else if info.Size() > s.config.Limits.ManifestBytes {
		return nil, &LimitError{"ManifestBytes", s.config.Limits.ManifestBytes, fmt.Sprintf("an index.json of %d bytes", info.Size())}
	}
	x, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	return s.indexSources(x, nil, 1)
}

// indexSources lists an index's images for this host: at the top all of them, in an index
// below it, which is one image for several platforms, the first.
func (s *Store) indexSources(x v1.ImageIndex, names []string, depth int) (list []source, err error) {
	m, err := x.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("its index: %w", err)
	}
	if depth > indexDepthMax {
		return nil, &LimitError{"indexDepthMax", indexDepthMax, "indexes lie too deep in each other"}
	}
	var platforms []string
	for _, d := range m.Manifests {
		if d.Size < 0 || d.Size > s.config.Limits.ManifestBytes {
			return nil, &LimitError{"ManifestBytes", s.config.Limits.ManifestBytes, fmt.Sprintf("a manifest of %d bytes", d.Size)}
		}
		if p := d.Platform; p != nil && (p.OS != "linux" || p.Architecture != runtime.GOARCH) {
			platforms = append(platforms, p.OS+"/"+p.Architecture)
			continue
		}
		own := names
		if depth == 1 {
			own = namesOf(d)
		}
		switch {
		case d.MediaType.IsImage():
			img, err := x.Image(d.Digest)
			if err != nil {
				return nil, err
			}
			if got, err := img.Digest(); err != nil || got != d.Digest {
				return nil, fmt.Errorf("its manifest: %w: it is %s, want %s", ErrWrongContent, got, d.Digest)
			}
			list = append(list, source{own, img})
		case d.MediaType.IsIndex():
			below, err := x.ImageIndex(d.Digest)
			if err != nil {
				return nil, err
			}
			more, err := s.indexSources(below, own, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, more...)
		}
		if depth > 1 && len(list) > 0 {
			return list, nil
		}
	}
	if len(list) == 0 {
		if len(platforms) > 0 {
			return nil, fmt.Errorf("%w: it is for %v, want linux/%s", ErrNotThisHost, platforms, runtime.GOARCH)
		}
		return nil, errors.New("there is no image in it")
	}
	return list, nil
}

// namesOf takes containerd's name, or the specification's if it is more than a tag.
func namesOf(d v1.Descriptor) []string {
	for _, key := range []string{containerdAnnotation, refAnnotation} {
		n := d.Annotations[key]
		if n == "" {
			continue
		}
		if key == refAnnotation && tagAlone.MatchString(n) {
			continue
		}
		return []string{n}
	}
	return nil
}

// tagAlone has no slash, colon or at-sign: it may be a name, but in layouts is a tag.
var tagAlone = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
