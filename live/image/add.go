package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// layersAtOnce are unpacked at a time, of one image.
const layersAtOnce = 3

// headerBytesMax is what an entry's headers and padding may take in an archive, beside
// its content.
const headerBytesMax = 4 << 10

// Add takes an image in under a name. What is there already is not read again.
func (s *Store) Add(ctx context.Context, ref string, img v1.Image) (Image, error) {
	full, err := Canonical(ref)
	if err != nil {
		return Image{}, err
	}
	im, err := s.add(ctx, full, nil, img)
	if err != nil {
		return Image{}, fmt.Errorf("add image %s: %w", full, err)
	}
	return im, nil
}

// add takes an image in and lets the canonical name stand for it.
func (s *Store) add(ctx context.Context, full string, digests []string, img v1.Image) (Image, error) {
	l, err := lock(s.path(inUseLock), unix.LOCK_SH)
	if err != nil {
		return Image{}, err
	}
	defer l.Close()
	p, err := s.parts(img)
	if err != nil {
		return Image{}, err
	}
	if err := s.addLayers(ctx, img, p); err != nil {
		return Image{}, err
	}
	for digest, raw := range map[string][]byte{p.manifest.Config.Digest.String(): p.rawConfig, p.digest: p.rawManifest} {
		if _, err := os.Stat(s.blobFile(digest)); err == nil {
			continue
		}
		if err := writeFile(s.blobFile(digest), raw); err != nil {
			return Image{}, err
		}
	}
	err = s.changeIndex(func(x *index) error {
		x.Images[full] = named{Manifest: p.digest, Digests: digests}
		return nil
	})
	if err != nil {
		return Image{}, err
	}
	return s.Find(p.digest)
}

// parts are an image's documents, checked.
type parts struct {
	digest                 string // of the manifest
	rawManifest, rawConfig []byte
	manifest               *v1.Manifest
	config                 *v1.ConfigFile
}

func (s *Store) parts(img v1.Image) (p parts, err error) {
	limits := s.config.Limits
	if p.rawManifest, err = img.RawManifest(); err != nil {
		return p, err
	}
	if n := int64(len(p.rawManifest)); n > limits.ManifestBytes {
		return p, &LimitError{"ManifestBytes", limits.ManifestBytes, fmt.Sprintf("a manifest of %d bytes", n)}
	}
	if p.manifest, err = v1.ParseManifest(bytes.NewReader(p.rawManifest)); err != nil {
		return p, fmt.Errorf("its manifest: %w", err)
	}
	want, err := img.Digest()
	if err != nil {
		return p, err
	}
	p.digest = digestOf(p.rawManifest)
	if p.digest != want.String() {
		return p, fmt.Errorf("its manifest: %w: it is %s, want %s", ErrWrongContent, p.digest, want)
	}
	// Its size is known before it is read into memory.
	if n := p.manifest.Config.Size; n < 0 || n > limits.ConfigBytes {
		return p, &LimitError{"ConfigBytes", limits.ConfigBytes, fmt.Sprintf("a configuration of %d bytes", n)}
	}
	if n := len(p.manifest.Layers); n > limits.LayersMax {
		return p, &LimitError{"LayersMax", int64(limits.LayersMax), fmt.Sprintf("an image of %d layers", n)}
	}
	if p.rawConfig, err = img.RawConfigFile(); err != nil {
		return p, err
	}
	if got := digestOf(p.rawConfig); got != p.manifest.Config.Digest.String() {
		return p, fmt.Errorf("its configuration: %w: it is %s, want %s", ErrWrongContent, got, p.manifest.Config.Digest)
	}
	if p.config, err = v1.ParseConfigFile(bytes.NewReader(p.rawConfig)); err != nil {
		return p, fmt.Errorf("its configuration: %w", err)
	}
	return p, checkConfig(p)
}

// checkConfig looks at what both documents say. Layers elsewhere are refused: an image
// could have this host ask any address for them.
func checkConfig(p parts) error {
	if got, want := len(p.config.RootFS.DiffIDs), len(p.manifest.Layers); got != want {
		return fmt.Errorf("its configuration names %d layers, its manifest %d", got, want)
	}
	for i, l := range p.manifest.Layers {
		if len(l.URLs) > 0 {
			return fmt.Errorf("layer %d is said to be at %s: want layers that the registry itself has", i+1, l.URLs[0])
		}
	}
	for _, d := range p.config.RootFS.DiffIDs {
		if !digestPattern.MatchString(d.String()) {
			return fmt.Errorf("its configuration names a layer %q: want sha256: and 64 hexadecimal digits", d)
		}
	}
	if os, arch := p.config.OS, p.config.Architecture; os != "" && os != "linux" || arch != "" && arch != runtime.GOARCH {
		return fmt.Errorf("%w: it is for %s/%s, want linux/%s", ErrNotThisHost, os, arch, runtime.GOARCH)
	}
	return nil
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// addLayers unpacks what is missing, several layers at a time. The first failure stops
// the others.
func (s *Store) addLayers(ctx context.Context, img v1.Image, p parts) error {
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	if len(layers) != len(p.config.RootFS.DiffIDs) {
		return fmt.Errorf("it has %d layers, its configuration names %d", len(layers), len(p.config.RootFS.DiffIDs))
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	turns := make(chan struct{}, layersAtOnce)
	var wg sync.WaitGroup
	for i, l := range layers {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			if err := s.addLayer(ctx, p.config.RootFS.DiffIDs[i], l); err != nil {
				stop(fmt.Errorf("layer %d of %d: %w", i+1, len(layers), err))
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// addLayer sees to it that the layer is there. Two images with a common layer unpack it
// once; if the other image's source fails, this one's is tried.
func (s *Store) addLayer(ctx context.Context, diffID v1.Hash, l v1.Layer) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := os.Stat(s.layerDir(diffID)); err == nil {
			return nil
		}
		_, shared, err := s.layers.do(ctx, diffID.Hex, func(ctx context.Context) (unpacked, error) { return s.unpackLayer(ctx, diffID, l) })
		if err == nil || !shared {
			return err
		}
	}
}

// unpackLayer unpacks into a folder below tmp, which becomes the layer when it is whole,
// found right and on the disk.
func (s *Store) unpackLayer(ctx context.Context, diffID v1.Hash, l v1.Layer) (unpacked, error) {
	dir, end, err := s.scratch()
	if err != nil {
		return unpacked{}, err
	}
	defer end()
	whole := filepath.Join(dir, "layer")
	files := filepath.Join(whole, "fs")
	if err := os.MkdirAll(files, 0o755); err != nil {
		return unpacked{}, err
	}
	r, err := l.Uncompressed()
	if err != nil {
		return unpacked{}, err
	}
	defer r.Close()
	size, err := unpackChecked(ctx, files, r, diffID, s.config.Limits)
	if err != nil {
		return unpacked{}, err
	}
	raw, err := json.Marshal(size)
	if err != nil {
		return unpacked{}, err
	}
	if err := os.WriteFile(filepath.Join(whole, "size"), raw, 0o600); err != nil {
		return unpacked{}, err
	}
	return size, s.place(whole, s.layerDir(diffID))
}

// unpackChecked reads the archive to its last byte, beyond its end mark: the digest is
// of all of it.
func unpackChecked(ctx context.Context, dir string, r io.Reader, diffID v1.Hash, limits Limits) (unpacked, error) {
	sum := sha256.New()
	bytesMax := limits.LayerBytesMax + int64(limits.LayerEntries+1)*headerBytesMax + 1<<20
	limited := &io.LimitedReader{R: r, N: bytesMax + 1}
	all := io.TeeReader(contextReader{ctx, limited}, sum)
	size, err := unpack(ctx, dir, all, limits)
	if err == nil {
		_, err = io.Copy(io.Discard, all)
	}
	if limited.N <= 0 {
		return size, &LimitError{"LayerBytesMax", limits.LayerBytesMax, "the layer's archive has too many bytes"}
	}
	if err != nil {
		return size, err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != diffID.Hex {
		return size, fmt.Errorf("%w: its diff ID is sha256:%s, want %s", ErrWrongContent, got, diffID)
	}
	return size, nil
}

// place makes sure of the content on the disk, then of the name. Another process may
// have been faster with the same layer.
func (s *Store) place(whole, to string) error {
	d, err := os.Open(whole)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("write to disk: %w", err)
	}
	err = os.Rename(whole, to)
	if errors.Is(err, os.ErrExist) || errors.Is(err, unix.ENOTEMPTY) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}
