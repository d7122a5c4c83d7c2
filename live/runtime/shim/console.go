package shim

import (
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/live/runtime/wire"
)

// withConsole calls begin, which starts the process with a terminal, and answers the
// terminal's other side.
func withConsole(p *libcontainer.Process, begin func() error) (*os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "console"), os.NewFile(uintptr(pair[1]), "console")
	defer ours.Close()
	p.ConsoleSocket = theirs
	err = begin()
	theirs.Close()
	if err != nil {
		return nil, err
	}
	return receiveConsole(pair[0])
}

// receiveConsole takes the file that the new process has sent. All other ends are
// closed, so that it does not wait in vain.
func receiveConsole(socket int) (*os.File, error) {
	name, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, name, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 {
		return nil, fmt.Errorf("the process sent %d messages with a terminal, want 1", len(messages))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	// Reads must end when the shim closes it.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), "terminal"), nil
}

// duplicate gives a file of its own that does not block the thread that reads it.
// The other end of the pipe is the client's and keeps its mode.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// copyConsole moves bytes between a client's streams and a terminal until the
// terminal ends.
func copyConsole(console *os.File, streams [3]*os.File) {
	if streams[0] != nil {
		if in, err := duplicate(streams[0]); err == nil {
			defer in.Close() // ends the copy
			go func() { _, _ = io.Copy(console, in) }()
		}
	}
	if streams[1] == nil {
		_, _ = io.Copy(io.Discard, console)
		return
	}
	out, err := duplicate(streams[1])
	if err != nil {
		return
	}
	defer out.Close()
	_, _ = io.Copy(out, console)
}

func resize(console *os.File, size wire.Resize) {
	if console == nil {
		return
	}
	raw, err := console.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Height, Col: size.Width})
	})
}
