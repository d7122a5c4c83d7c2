package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Marks of a layer's archive (OCI image specification, "Representing changes").
const (
	whiteoutPrefix = ".wh."
	whiteoutMeta   = ".wh..wh."
	opaqueMark     = ".wh..wh..opq"
)

// Attributes in archives, and the one by which overlayfs knows an opaque folder.
const (
	paxXattr    = "SCHILY.xattr."
	opaqueXattr = "trusted.overlay.opaque"
)

// unpacked is what a layer came to.
type unpacked struct {
	Bytes   int64 `json:"bytes"`
	Entries int   `json:"entries"`
}

// unpacker writes one layer into a folder of its own. What it refuses: names with
// "..", entries whose parents lead out of the folder, hard links to what is not in this
// layer, device nodes, and whatever is beyond the limits. Whiteouts become what
// overlayfs wants: a character device 0/0 hides a name of the layers below, and an
// opaque folder all that is in it.
type unpacker struct {
	root   *os.Root
	limits Limits
	seen   unpacked
	dirs   []dirTime // times of folders, set at the end: what is put in changes them
	named  int       // bytes of their names

	// The folder of the last entry: most entries follow one of the same folder, and
	// a name of one element cannot leave it.
	parent     *os.Root
	parentName string
}

type dirTime struct {
	name string
	mod  time.Time
}

// unpack reads a layer's archive to its end into the folder dir.
func unpack(ctx context.Context, dir string, r io.Reader, limits Limits) (unpacked, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return unpacked{}, err
	}
	defer root.Close()
	u := &unpacker{root: root, limits: limits.withDefaults()}
	defer u.forget()
	tr := tar.NewReader(r)
	for {
		if err := ctx.Err(); err != nil {
			return u.seen, err
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return u.seen, u.setTimes()
		}
		if err != nil {
			return u.seen, fmt.Errorf("read the archive after %d entries: %w", u.seen.Entries, err)
		}
		if err := u.entry(ctx, h, tr); err != nil {
			return u.seen, fmt.Errorf("entry %q: %w", h.Name, err)
		}
	}
}

func (u *unpacker) entry(ctx context.Context, h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if err := u.count(); err != nil {
		return err
	}
	name, err := u.cleanName(h.Name)
	if err != nil {
		return err
	}
	if name == "." {
		return u.rootEntry(h)
	}
	folder, base := path.Split(name)
	at, err := u.enter(path.Clean(folder))
	if err != nil {
		return err
	}
	switch {
	case base == opaqueMark:
		return setOpaque(at, ".")
	case strings.HasPrefix(base, whiteoutMeta):
		return nil // notes of aufs
	case strings.HasPrefix(base, whiteoutPrefix):
		return u.whiteout(at, base)
	}
	return u.make(ctx, at, name, base, h, content)
}

// count is called for each entry, and for each folder made on the way to one.
func (u *unpacker) count() error {
	u.seen.Entries++
	if u.seen.Entries > u.limits.LayerEntries {
		return &LimitError{"LayerEntries", int64(u.limits.LayerEntries), "the layer has too many entries"}
	}
	return nil
}

// cleanName is an entry's name below the layer's root, without the "./" or "/" that
// archives have in front.
func (u *unpacker) cleanName(name string) (string, error) {
	if len(name) > u.limits.PathBytesMax {
		return "", &LimitError{"PathBytesMax", int64(u.limits.PathBytesMax), fmt.Sprintf("a name of %d bytes", len(name))}
	}
	if strings.IndexByte(name, 0) >= 0 {
		return "", errors.New("the name has a zero byte in it")
	}
	for e := range strings.SplitSeq(name, "/") {
		if e == ".." {
			return "", errors.New(`the name has ".." in it: want a path below the root`)
		}
	}
	return path.Clean(strings.TrimLeft("./"+strings.TrimLeft(name, "/"), "/")), nil
}

// rootEntry sets what the archive says of the root itself.
func (u *unpacker) rootEntry(h *tar.Header) error {
	if h.Typeflag != tar.TypeDir {
		return errors.New("the layer's root is not a folder")
	}
	return u.attributes(u.root, ".", ".", h)
}

// enter opens the folder, and makes those that are missing on the way. The archive may
// have put a symbolic link there; os.Root follows it only within the layer.
func (u *unpacker) enter(folder string) (*os.Root, error) {
	if folder == "." {
		return u.root, nil
	}
	if u.parent != nil && u.parentName == folder {
		return u.parent, nil
	}
	u.forget()
	// Opening a pipe would wait for its other end: it is looked at first.
	info, err := u.root.Stat(folder)
	if err != nil || !info.IsDir() {
		if err := u.makeFolders(folder); err != nil {
			return nil, err
		}
		if info, err = u.root.Stat(folder); err != nil {
			return nil, fmt.Errorf("its folder: %w", err)
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("its folder: %q leads to what is none", folder)
		}
	}
	at, err := u.root.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("its folder: %w", err)
	}
	u.parent, u.parentName = at, folder
	return at, nil
}

// forget closes the folder kept open: it may be about to be replaced.
func (u *unpacker) forget() {
	if u.parent != nil {
		u.parent.Close()
		u.parent = nil
	}
}

// makeFolders makes the missing ones of a path. A whiteout in the way was for what the
// layers below have under that name, so the folder that takes its place is opaque.
func (u *unpacker) makeFolders(folder string) error {
	for i := 0; i <= len(folder); i++ {
		if i < len(folder) && folder[i] != '/' {
			continue
		}
		name := folder[:i]
		info, err := u.root.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err = u.count(); err == nil {
				err = u.root.Mkdir(name, 0o755)
			}
		case err == nil && isWhiteout(info):
			err = replaceWhiteout(u.root, name)
		case err == nil && !info.IsDir() && info.Mode()&fs.ModeSymlink == 0:
			err = fmt.Errorf("%q is not a folder", name)
		}
		if err != nil {
			return fmt.Errorf("its folder: %w", err)
		}
	}
	return nil
}

func isWhiteout(info fs.FileInfo) bool { return info.Mode()&fs.ModeCharDevice != 0 }

func replaceWhiteout(at *os.Root, base string) error {
	if err := at.Remove(base); err != nil {
		return err
	}
	if err := at.Mkdir(base, 0o755); err != nil {
		return err
	}
	return setOpaque(at, base)
}

// whiteout hides a name of the layers below. What this layer itself has under the name
// stays: a folder becomes opaque, and anything else hides what is below it anyhow.
func (u *unpacker) whiteout(at *os.Root, base string) error {
	hidden := strings.TrimPrefix(base, whiteoutPrefix)
	if hidden == "" || hidden == "." || hidden == ".." {
		return fmt.Errorf("a whiteout of %q: want a name", hidden)
	}
	info, err := at.Lstat(hidden)
	switch {
	case err == nil && info.IsDir():
		return setOpaque(at, hidden)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return mknod(at, hidden, unix.S_IFCHR)
}

// make makes one entry under its parent.
func (u *unpacker) make(ctx context.Context, at *os.Root, name, base string, h *tar.Header, content io.Reader) error {
	hides, err := u.clear(at, base, h.Typeflag == tar.TypeDir)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := at.Mkdir(base, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if hides {
			if err := setOpaque(at, base); err != nil {
				return err
			}
		}
		return u.attributes(at, name, base, h)
	case tar.TypeReg:
		return u.file(ctx, at, base, h, content)
	case tar.TypeSymlink:
		if n := len(h.Linkname); n == 0 || n > u.limits.PathBytesMax {
			return &LimitError{"PathBytesMax", int64(u.limits.PathBytesMax), fmt.Sprintf("a link to a name of %d bytes (at least 1)", n)}
		}
		if err := at.Symlink(h.Linkname, base); err != nil {
			return err
		}
		return at.Lchown(base, h.Uid, h.Gid)
	case tar.TypeLink:
		return u.hardLink(name, h.Linkname)
	case tar.TypeFifo:
		if err := mknod(at, base, unix.S_IFIFO); err != nil {
			return err
		}
		if err := at.Chown(base, h.Uid, h.Gid); err != nil {
			return err
		}
		return at.Chmod(base, modeOf(h))
	case tar.TypeChar, tar.TypeBlock:
		return fmt.Errorf("a device node (%d:%d): images may not bring devices", h.Devmajor, h.Devminor)
	}
	return fmt.Errorf("an entry of type %q: want a file, a folder, a link or a pipe", h.Typeflag)
}

// clear removes what an earlier entry of the same name left, unless both are folders.
// It says whether that was a whiteout.
func (u *unpacker) clear(at *os.Root, base string, folder bool) (whiteout bool, err error) {
	info, err := at.Lstat(base)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if info.IsDir() && folder {
		return false, nil
	}
	if !info.Mode().IsRegular() {
		u.parentName = "" // the folder kept open may have been reached through it
	}
	return isWhiteout(info), at.RemoveAll(base)
}

func (u *unpacker) file(ctx context.Context, at *os.Root, base string, h *tar.Header, content io.Reader) error {
	// The size is of the file as it will be: a sparse one may have few bytes here.
	if h.Size < 0 || h.Size > u.limits.LayerBytesMax-u.seen.Bytes {
		return &LimitError{"LayerBytesMax", u.limits.LayerBytesMax, "the layer has too many bytes"}
	}
	f, err := at.OpenFile(base, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(f, contextReader{ctx, content})
	u.seen.Bytes += n
	if err != nil {
		return err
	}
	if err := f.Chown(h.Uid, h.Gid); err != nil {
		return err
	}
	if err := f.Chmod(modeOf(h)); err != nil {
		return err
	}
	if err := u.xattrs(int(f.Fd()), h); err != nil {
		return err
	}
	if err := at.Chtimes(base, h.ModTime, h.ModTime); err != nil {
		return err
	}
	return f.Close()
}

// hardLink links to an earlier entry of the same layer, and to nothing else.
func (u *unpacker) hardLink(name, target string) error {
	to, err := u.cleanName(target)
	if err != nil {
		return fmt.Errorf("a hard link to %q: %w", target, err)
	}
	info, err := u.root.Lstat(to)
	if err != nil {
		return fmt.Errorf("a hard link to %q, which is not in this layer: %w", target, err)
	}
	if !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0 {
		return fmt.Errorf("a hard link to %q: want a file", target)
	}
	return u.root.Link(to, name)
}

// attributes sets a folder's owner, mode and attributes, and leaves its time for the
// end.
func (u *unpacker) attributes(at *os.Root, name, base string, h *tar.Header) error {
	f, err := at.Open(base)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Chown(h.Uid, h.Gid); err != nil {
		return err
	}
	if err := f.Chmod(modeOf(h)); err != nil {
		return err
	}
	if u.named += len(name); u.named > u.limits.FolderBytes {
		return &LimitError{"FolderBytes", int64(u.limits.FolderBytes), "the layer's folders have too long names together"}
	}
	u.dirs = append(u.dirs, dirTime{name, h.ModTime})
	return u.xattrs(int(f.Fd()), h)
}

// xattrs sets file capabilities and users' own attributes. Those of overlayfs would
// let a layer direct the kernel to other files; the rest belongs to the host.
func (u *unpacker) xattrs(fd int, h *tar.Header) error {
	n := 0
	for key, value := range h.PAXRecords {
		attr, ok := strings.CutPrefix(key, paxXattr)
		if !ok {
			continue
		}
		if n++; n > u.limits.XattrsMax {
			return &LimitError{"XattrsMax", int64(u.limits.XattrsMax), "the entry has too many attributes"}
		}
		if attr != "security.capability" && !strings.HasPrefix(attr, "user.") {
			continue
		}
		err := unix.Fsetxattr(fd, attr, []byte(value), 0)
		if err != nil && (attr == "security.capability" || !errors.Is(err, unix.ENOTSUP)) {
			return fmt.Errorf("attribute %s: %w", attr, err)
		}
	}
	return nil
}

// setTimes goes backwards, so that a folder comes after what is in it. A folder that a
// later entry replaced has none to set.
func (u *unpacker) setTimes() error {
	for i := len(u.dirs) - 1; i >= 0; i-- {
		d := u.dirs[i]
		info, err := u.root.Lstat(d.name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			continue
		}
		if err != nil {
			return err
		}
		if err := u.root.Chtimes(d.name, d.mod, d.mod); err != nil {
			return err
		}
	}
	return nil
}

func modeOf(h *tar.Header) fs.FileMode {
	return h.FileInfo().Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}

func setOpaque(at *os.Root, base string) error {
	f, err := at.Open(base)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fsetxattr(int(f.Fd()), opaqueXattr, []byte("y"), 0); err != nil {
		return fmt.Errorf("make it opaque: %w", err)
	}
	return nil
}

// mknod makes a whiteout (a character device 0/0) or a pipe in the folder.
func mknod(at *os.Root, base string, kind uint32) error {
	f, err := at.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Mknodat(int(f.Fd()), base, kind, 0); err != nil {
		return &os.PathError{Op: "mknod", Path: base, Err: err}
	}
	return nil
}

// contextReader stops a long copy.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
