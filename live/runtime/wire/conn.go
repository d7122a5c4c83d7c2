package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// MessageBytesMax is the longest message, its line feed included.
	MessageBytesMax = 4 << 20
	// FilesMax is how many open files may travel with one message.
	FilesMax = 3

	dialTimeout = 5 * time.Second
)

// Conn is one connection. One goroutine may read while another writes.
type Conn struct {
	c     *net.UnixConn
	rest  []byte // read, and not yet asked for
	files []*os.File
}

// NewConn takes a connection over.
func NewConn(c *net.UnixConn) *Conn { return &Conn{c: c} }

// Close ends the connection, and closes files that came and were not taken.
func (c *Conn) Close() error {
	return c.c.Close()
}

// Send writes one message and the files that go with it, which stay open here.
func (c *Conn) Send(message any, files ...*os.File) error {
	data, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if data = append(data, '\n'); len(data) > MessageBytesMax {
		return fmt.Errorf("a message of %d bytes: the most is %d", len(data), MessageBytesMax)
	}
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	n, _, err := c.c.WriteMsgUnix(data, rights, nil)
	if err == nil && n < len(data) {
		_, err = c.c.Write(data[n:])
	}
	return err
}

// Receive reads one message into into and answers the files that came with it, which
// the caller closes. At the end of the connection it answers io.EOF.
func (c *Conn) Receive(into any) ([]*os.File, error) {
	seen := 0 // of rest, without a line feed
	for {
		if i := bytes.IndexByte(c.rest[seen:], '\n'); i >= 0 {
			line := c.rest[:seen+i]
			c.rest = c.rest[seen+i+1:]
			files := c.files
			c.files = nil
			if err := json.Unmarshal(line, into); err != nil {
				closeAll(files)
				return nil, fmt.Errorf("a message that is not the JSON expected: %w", err)
			}
			return files, nil
		}
		if seen = len(c.rest); seen >= MessageBytesMax {
			return nil, fmt.Errorf("a message longer than %d bytes", MessageBytesMax)
		}
		if err := c.more(); err != nil {
			closeAll(c.files)
			c.files = nil
			return nil, err
		}
	}
}

func (c *Conn) more() error {
	buf, rights := make([]byte, 32<<10), make([]byte, unix.CmsgSpace(4*FilesMax))
	n, nr, flags, _, err := c.c.ReadMsgUnix(buf, rights)
	if nr > 0 {
		files, rerr := received(rights[:nr])
		if rerr != nil {
			return rerr
		}
		c.files = append(c.files, files...)
	}
	switch {
	case err != nil:
		return err
	case flags&unix.MSG_CTRUNC != 0 || len(c.files) > FilesMax:
		return fmt.Errorf("more than %d files with one message", FilesMax)
	case n == 0:
		return io.EOF
	}
	c.rest = append(c.rest, buf[:n]...)
	return nil
}

func received(rights []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	var out []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return out, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			out = append(out, os.NewFile(uintptr(fd), "received"))
		}
	}
	return out, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// CallerUID is the user at the other end.
func (c *Conn) CallerUID() (int, error) {
	raw, err := c.c.SyscallConn()
	if err != nil {
		return -1, err
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) {
		cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return -1, err
	}
	if cerr != nil {
		return -1, cerr
	}
	return int(cred.Uid), nil
}

// Dial connects to the socket at path.
func Dial(ctx context.Context, path string) (*Conn, error) {
	short, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, "unix", short)
	if err != nil {
		return nil, err
	}
	return NewConn(c.(*net.UnixConn)), nil
}

// Listen makes the socket at path; it stays in the file system when the listener is
// closed.
func Listen(path string) (*net.UnixListener, error) {
	short, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	return l, nil
}

// shorten gives a name that fits the 107 bytes of a socket address, whatever the
// depth of the folder: by way of the folder's open file.
func shorten(path string) (string, func(), error) {
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), func() { dir.Close() }, nil
}
