package crilog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// FilesReadMax is how many files of one log are looked for.
	FilesReadMax = 1000

	recordBytesMax = LineBytesMax + 128 // its text, and what is before it
	blockBytes     = 64 << 10
)

// Options say what of a log is wanted, and how.
type Options struct {
	Tail       int64     // lines at the end; negative for all
	Since      time.Time // zero for all
	Stream     string    // stdout or stderr; empty for both
	Timestamps bool      // before each line
	BytesMax   int64     // of what is written; 0 for no limit
	// Wait is called when all there is has been written; false says that nothing
	// more will come. Nil: there is no waiting.
	Wait func() bool
}

// Read writes the log at path to w, from its oldest file that is kept, and follows it
// over rotations while Options.Wait says so. Without a file it fails as opening does.
func Read(path string, o Options, w io.Writer) error {
	r := &reader{path: path, o: o, out: bufio.NewWriterSize(w, blockBytes), left: o.BytesMax, inside: map[string]bool{}}
	defer r.close()
	err := r.begin()
	if err == nil {
		err = r.run()
	}
	if errors.Is(err, errFull) {
		err = nil
	}
	return errors.Join(err, r.out.Flush())
}

// errFull says that Options.BytesMax are written.
var errFull = errors.New("the limit is reached")

// reader is one Read; the first of files is being read.
type reader struct {
	path   string
	o      Options
	out    *bufio.Writer
	left   int64
	files  []*os.File      // oldest first
	part   []byte          // a record whose end has not come
	inside map[string]bool // a line of the stream has begun
	buf    [blockBytes]byte
}

func (r *reader) close() {
	for _, f := range r.files {
		f.Close()
	}
}

// begin opens what there is, and goes to where the tail begins.
func (r *reader) begin() (err error) {
	r.files, err = openAll(r.path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && r.o.Wait != nil {
			return nil
		}
		return err
	}
	if r.o.Tail < 0 {
		return nil
	}
	lines := tail{left: r.o.Tail, stream: r.o.Stream}
	for i, f := range slices.Backward(r.files) {
		at, found, err := lines.find(f)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		for _, older := range r.files[:i] {
			older.Close()
		}
		r.files = r.files[i:]
		_, err = f.Seek(at, io.SeekStart)
		return err
	}
	return nil
}

func (r *reader) run() error {
	for over := false; ; {
		for len(r.files) > 0 {
			if err := r.copy(); err != nil {
				return err
			}
			if len(r.files) == 1 {
				break
			}
			r.files[0].Close()
			r.files, r.part = r.files[1:], nil
		}
		if r.o.Wait == nil {
			return nil
		}
		rotated, err := r.rotated()
		if err != nil {
			return err
		}
		if rotated {
			continue
		}
		if over {
			return nil
		}
		if err := r.out.Flush(); err != nil {
			return err
		}
		over = !r.o.Wait()
	}
}

// rotated looks whether there are newer files, and opens them.
func (r *reader) rotated() (bool, error) {
	if len(r.files) > 0 {
		mine, err := r.files[0].Stat()
		if err != nil {
			return false, err
		}
		if there, err := os.Lstat(r.path); err == nil && os.SameFile(mine, there) {
			return false, nil
		}
	}
	all, err := openAll(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // it will come, or Wait says that it will not
	}
	if err != nil || len(r.files) == 0 {
		r.files = append(r.files, all...)
		return len(all) > 0, err
	}
	mine, err := r.files[0].Stat()
	if err != nil {
		return false, err
	}
	newer := all // all of them if ours has gone
	for i, f := range all {
		if info, err := f.Stat(); err == nil && os.SameFile(info, mine) {
			for _, known := range all[:i+1] {
				known.Close()
			}
			newer = all[i+1:]
			break
		}
	}
	r.files = append(r.files, newer...)
	return len(newer) > 0, nil
}

// copy writes what the first file has from where it stands.
func (r *reader) copy() error {
	f := r.files[0]
	info, err := f.Stat()
	if err != nil {
		return err
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err == nil && info.Size() < at { // a log of one file begins it again
		r.part = r.part[:0]
		_, err = f.Seek(0, io.SeekStart)
	}
	for err == nil {
		var n int
		n, err = f.Read(r.buf[:])
		data := append(r.part, r.buf[:n]...)
		for {
			i := bytes.IndexByte(data, '\n')
			if i < 0 {
				break
			}
			if err := r.write(data[:i]); err != nil {
				return err
			}
			data = data[i+1:]
		}
		if len(data) > recordBytesMax {
			return fmt.Errorf("log file %s: a record of more than %d bytes", f.Name(), recordBytesMax)
		}
		r.part = append(r.part[:0], data...)
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// write writes one record as it was asked for; one that cannot be read is left out.
func (r *reader) write(line []byte) error {
	rec, ok := parse(line)
	if !ok || r.o.Stream != "" && rec.stream != r.o.Stream {
		return nil
	}
	if !r.o.Since.IsZero() {
		at, err := time.Parse(time.RFC3339Nano, string(rec.stamp))
		if err != nil || at.Before(r.o.Since) {
			return nil
		}
	}
	if r.o.Timestamps && !r.inside[rec.stream] {
		if err := r.put(rec.stamp, []byte{' '}); err != nil {
			return err
		}
	}
	r.inside[rec.stream] = !rec.full
	if err := r.put(rec.text); err != nil || !rec.full {
		return err
	}
	return r.put([]byte{'\n'})
}

func (r *reader) put(pieces ...[]byte) error {
	for _, p := range pieces {
		full := r.o.BytesMax > 0 && int64(len(p)) >= r.left
		if full {
			p = p[:r.left]
		}
		r.left -= int64(len(p))
		if _, err := r.out.Write(p); err != nil {
			return err
		}
		if full {
			return errFull
		}
	}
	return nil
}

// record is one line of a file.
type record struct {
	stamp, text []byte
	stream      string
	full        bool
}

func parse(line []byte) (record, bool) {
	stamp, rest, ok1 := bytes.Cut(line, []byte{' '})
	stream, rest, ok2 := bytes.Cut(rest, []byte{' '})
	tag, text, ok3 := bytes.Cut(rest, []byte{' '})
	r := record{stamp: stamp, text: text}
	switch string(stream) { // no copy
	case "stdout":
		r.stream = "stdout"
	case "stderr":
		r.stream = "stderr"
	default:
		return r, false
	}
	if ok3 && len(tag) > 0 {
		r.full = tag[0] == 'F'
	}
	return r, ok1 && ok2 && ok3
}

// openAll opens the files of a log, oldest first. The newest is opened first, so that
// none is missed when a rotation comes between.
func openAll(path string) ([]*os.File, error) {
	var out []*os.File
	var infos []os.FileInfo
	missing := 0
	for i := range FilesReadMax {
		name := path
		if i > 0 {
			name = fmt.Sprintf("%s.%d", path, i)
		}
		f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if errors.Is(err, fs.ErrNotExist) {
			if missing++; missing > 1 { // one may be on its way to another name
				break
			}
			continue
		}
		missing = 0
		var info os.FileInfo
		if err == nil {
			out = append(out, f)
			info, err = f.Stat()
		}
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("log file %s is not a regular file", name)
		}
		if err != nil {
			for _, f := range out {
				f.Close()
			}
			return nil, err
		}
		if slices.ContainsFunc(infos, func(o os.FileInfo) bool { return os.SameFile(o, info) }) {
			f.Close()
			out = out[:len(out)-1]
			continue
		}
		infos = append(infos, info)
	}
	if len(out) == 0 {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	slices.Reverse(out)
	return out, nil
}

// tail finds where the last lines begin, file by file from the newest.
type tail struct {
	left   int64
	stream string
	any    bool // a record has been seen
}

// find says where in a file the tail begins; not found: in an older one.
func (t *tail) find(f *os.File) (at int64, found bool, err error) {
	pos, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, false, err
	}
	if t.left == 0 && !t.any { // none are wanted
		return pos, true, nil
	}
	var buf []byte
	for whole := false; pos > 0; {
		n := min(blockBytes, pos)
		pos -= n
		block := make([]byte, n, int(n)+len(buf))
		if _, err := f.ReadAt(block, pos); err != nil {
			return 0, false, err
		}
		buf = append(block, buf...)
		if !whole { // what has no end yet comes with those after it
			end := bytes.LastIndexByte(buf, '\n') + 1
			if whole = end > 0; !whole {
				continue
			}
			buf = buf[:end]
		}
		for {
			i := bytes.LastIndexByte(buf[:len(buf)-1], '\n') + 1
			if i == 0 {
				break
			}
			if t.over(buf[i:]) {
				return pos + int64(len(buf)), true, nil
			}
			buf = buf[:i]
		}
		if len(buf) > 2*recordBytesMax+blockBytes {
			return 0, false, fmt.Errorf("log file %s: a record of more than %d bytes", f.Name(), recordBytesMax)
		}
	}
	if len(buf) > 0 && t.over(buf) {
		return int64(len(buf)), true, nil
	}
	_, err = f.Seek(0, io.SeekStart)
	return 0, false, err
}

// over takes one record more; true if it belongs to the line before the tail.
func (t *tail) over(line []byte) bool {
	rec, ok := parse(line)
	if !ok || t.stream != "" && rec.stream != t.stream {
		return false
	}
	if rec.full || !t.any { // the end of a line, or what there is of the last
		t.left--
	}
	t.any = true
	return t.left < 0
}
