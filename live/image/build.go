package image

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Spec says what an image is built of.
type Spec struct {
	// Name is REPOSITORY:TAG.
	Name string
	// From is a folder, which becomes the root, or a static program, which becomes
	// /NAME and the entry point, if none is given.
	From string
	// Entrypoint and Cmd are what a container runs and its arguments.
	Entrypoint, Cmd []string
	Env             []string // NAME=VALUE
	User            string   // USER[:GROUP], names or numbers
	WorkDir         string   // an absolute path
	Ports           []string // NUMBER or NUMBER/tcp
}

// epoch is the time of all files and of the image: what is built twice is the same.
var epoch = time.Unix(0, 0).UTC()

// Build makes an image. The same input gives the same digest, whenever and wherever: all
// files belong to root, have one time, and either mode 0755 or 0644 (folders and what
// is executable, and the rest).
func Build(spec Spec) (v1.Image, error) {
	img, err := build(spec)
	if err != nil {
		return nil, fmt.Errorf("build image %s: %w", spec.Name, err)
	}
	return img, nil
}

func build(spec Spec) (v1.Image, error) {
	config, err := spec.config()
	if err != nil {
		return nil, err
	}
	files, err := filesOf(spec.From)
	if err != nil {
		return nil, err
	}
	if len(files) == 1 && len(config.Entrypoint) == 0 && !files[0].info.IsDir() {
		config.Entrypoint = []string{"/" + files[0].name}
	}
	if len(config.Entrypoint)+len(config.Cmd) == 0 {
		return nil, errors.New("entry point: there is none; want the program to run, such as /bin/server")
	}
	opener := func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(writeLayer(w, files)) }()
		return r, nil
	}
	layer, err := tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	img, err := mutate.Append(base, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "seatrial image build"},
	})
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Created = v1.Time{Time: epoch}
	file.Config = config
	return mutate.ConfigFile(img, file)
}

func (spec Spec) config() (c v1.Config, err error) {
	if _, err := Canonical(spec.Name); err != nil {
		return c, err
	}
	if spec.WorkDir != "" && !path.IsAbs(spec.WorkDir) {
		return c, fmt.Errorf("working folder %q: want an absolute path", spec.WorkDir)
	}
	for _, e := range spec.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return c, fmt.Errorf("environment %q: want NAME=VALUE", e)
		}
	}
	c = v1.Config{Entrypoint: spec.Entrypoint, Cmd: spec.Cmd, Env: spec.Env, User: spec.User, WorkingDir: spec.WorkDir}
	if len(c.Env) == 0 || !strings.HasPrefix(c.Env[0], "PATH=") {
		c.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, c.Env...)
	}
	for _, p := range spec.Ports {
		number, protocol, ok := strings.Cut(p, "/")
		if !ok {
			protocol = "tcp"
		}
		if n, err := strconv.Atoi(number); err != nil || n < 1 || n > 65535 || protocol != "tcp" && protocol != "udp" && protocol != "sctp" {
			return c, fmt.Errorf("port %q: want a number from 1 to 65535, or NUMBER/tcp, NUMBER/udp, NUMBER/sctp", p)
		}
		if c.ExposedPorts == nil {
			c.ExposedPorts = map[string]struct{}{}
		}
		c.ExposedPorts[number+"/"+protocol] = struct{}{}
	}
	return c, nil
}

// buildFile is one entry of the layer.
type buildFile struct {
	name string // below the root, with slashes
	from string
	info fs.FileInfo
	link string
}

// filesOf lists what goes into the layer, in the order of names.
func filesOf(from string) (files []buildFile, err error) {
	if from == "" {
		return nil, errors.New("from: there is none; want a folder or a static program")
	}
	info, err := os.Stat(from)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if err := checkProgram(from, info); err != nil {
			return nil, err
		}
		return []buildFile{{name: filepath.Base(from), from: from, info: info}}, nil
	}
	err = filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == from {
			return err
		}
		rel, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		f := buildFile{name: filepath.ToSlash(rel), from: file}
		if f.info, err = d.Info(); err != nil {
			return err
		}
		switch t := d.Type(); {
		case t&fs.ModeSymlink != 0:
			f.link, err = os.Readlink(file)
		case !t.IsDir() && !t.IsRegular():
			err = fmt.Errorf("%s is a %s: want files, folders and symbolic links", file, t)
		}
		files = append(files, f)
		return err
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: there is nothing in it", from)
	}
	return files, err
}

// checkProgram refuses what cannot run alone in an image.
func checkProgram(file string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: want a folder or a static program", file)
	}
	e, err := elf.Open(file)
	if err != nil {
		return fmt.Errorf("%s is no program for Linux: want a folder or a static program", file)
	}
	defer e.Close()
	for _, p := range e.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s needs shared libraries, which would not be in the image: build it statically (with Go: CGO_ENABLED=0), or give a folder that has them", file)
		}
	}
	return nil
}

func writeLayer(w io.Writer, files []buildFile) error {
	tw := tar.NewWriter(w)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o644, ModTime: epoch, Format: tar.FormatPAX, Typeflag: tar.TypeReg}
		switch {
		case f.info.IsDir():
			h.Typeflag, h.Name, h.Mode = tar.TypeDir, f.name+"/", 0o755
		case f.link != "":
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.link, 0o777
		default:
			h.Size = f.info.Size()
			if f.info.Mode()&0o111 != 0 {
				h.Mode = 0o755
			}
		}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if h.Typeflag == tar.TypeReg {
			if err := copyFile(tw, f.from); err != nil {
				return err
			}
		}
	}
	return tw.Close()
}

func copyFile(w io.Writer, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// Named is an image and its name.
type Named struct {
	Name  string
	Image v1.Image
}

// WriteLayout writes images into an OCI layout, a folder that takes the place of what
// was at dir. Import reads it.
func WriteLayout(dir string, list []Named) error {
	if err := checkReplaceable(dir); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(filepath.Clean(dir)), ".layout-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh) // there is none after the rename
	if err := os.Chmod(fresh, 0o755); err != nil {
		return err
	}
	p, err := layout.Write(fresh, empty.Index)
	if err != nil {
		return fmt.Errorf("write layout %s: %w", dir, err)
	}
	for _, n := range list {
		full, err := Canonical(n.Name)
		if err != nil {
			return err
		}
		if err := p.AppendImage(n.Image, layout.WithAnnotations(nameNotes(full))); err != nil {
			return fmt.Errorf("write layout %s: image %s: %w", dir, n.Name, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(fresh, dir)
}

// AddToLayout puts an image into the OCI layout at dir, beside the images that are there;
// one of the same name gives way. It makes the layout if there is none.
func AddToLayout(dir string, n Named) error {
	if err := checkReplaceable(dir); err != nil {
		return err
	}
	p, err := layout.FromPath(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return WriteLayout(dir, []Named{n})
	}
	if err != nil {
		return fmt.Errorf("read layout %s: %w", dir, err)
	}
	full, err := Canonical(n.Name)
	if err != nil {
		return err
	}
	if err := p.ReplaceImage(n.Image, match.Annotation(containerdAnnotation, full), layout.WithAnnotations(nameNotes(full))); err != nil {
		return fmt.Errorf("add image %s to layout %s: %w", n.Name, dir, err)
	}
	return nil
}

// nameNotes tell an image's name in the index of a layout, in the two ways in use.
func nameNotes(full string) map[string]string {
	return map[string]string{refAnnotation: full[strings.LastIndexAny(full, ":@")+1:], containerdAnnotation: full}
}

// checkReplaceable lets a layout be replaced, and nothing that is none.
func checkReplaceable(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		if raw, err := os.ReadFile(filepath.Join(dir, "oci-layout")); err != nil || !bytes.Contains(raw, []byte("imageLayoutVersion")) {
			return fmt.Errorf("%s is neither empty nor an OCI layout: it stays as it is; give another folder", dir)
		}
	}
	return nil
}
