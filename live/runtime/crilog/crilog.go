package crilog

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// LineBytesMax is the longest piece of a line that is one record.
	LineBytesMax = 16 << 10
	timeFormat   = "2006-01-02T15:04:05.000000000Z07:00"
)

// Log is the file of one container.
type Log struct {
	mu       sync.Mutex
	path     string
	file     *os.File
	size     int64
	bytesMax int64
	filesMax int
	failed   error // the first write that failed, to be told once at Close
}

// Open makes or continues the file at path. It is renamed away when it would grow
// beyond bytesMax (0: never), and filesMax files are kept, it included.
func Open(path string, bytesMax int64, filesMax int) (*Log, error) {
	l := &Log{path: path, bytesMax: bytesMax, filesMax: max(filesMax, 1)}
	return l, l.open()
}

func (l *Log) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o640)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("log file %s is not a regular file", l.path)
	}
	if err != nil {
		f.Close()
		return err
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Reopen opens the path again: for whoever has moved the file away.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.file
	if err := l.open(); err != nil {
		return err
	}
	return old.Close()
}

// Close answers the first error of any write too: a full disk must not stop the
// container, but somebody should hear of it.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.file.Close(); l.failed == nil {
		l.failed = err
	}
	return l.failed
}

// write puts records into the file, and those that do not fit into the next.
func (l *Log) write(records []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(records) > 0 {
		n := l.fit(records)
		if n == 0 {
			if err := l.rotate(); err != nil {
				l.fail(err)
				n = len(records) // better too long than lost
			} else {
				continue
			}
		}
		wrote, err := l.file.Write(records[:n])
		if err != nil && wrote > 0 {
			// Half a record would spoil the next one.
			wrote = bytes.LastIndexByte(records[:wrote], '\n') + 1
			l.fail(l.file.Truncate(l.size + int64(wrote)))
		}
		l.size += int64(wrote)
		l.fail(err)
		records = records[n:]
	}
}

// fit is how many bytes of whole records may go into the file; 0 says that it is
// full. A record longer than a file gets one for itself.
func (l *Log) fit(records []byte) int {
	room := l.bytesMax - l.size
	if l.bytesMax == 0 || int64(len(records)) <= room {
		return len(records)
	}
	if room > 0 {
		if n := bytes.LastIndexByte(records[:room], '\n') + 1; n > 0 {
			return n
		}
	}
	if l.size == 0 {
		return bytes.IndexByte(records, '\n') + 1
	}
	return 0
}

func (l *Log) fail(err error) {
	if err != nil && l.failed == nil {
		l.failed = err
	}
}

func (l *Log) rotate() error {
	if l.filesMax == 1 {
		l.size = 0
		return l.file.Truncate(0)
	}
	for i := l.filesMax - 1; i > 1; i-- {
		if err := os.Rename(fmt.Sprintf("%s.%d", l.path, i-1), fmt.Sprintf("%s.%d", l.path, i)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if err := os.Rename(l.path, l.path+".1"); err != nil && !os.IsNotExist(err) {
		return err
	}
	old := l.file
	if err := l.open(); err != nil {
		return err
	}
	return old.Close()
}

// Stream cuts what is written to it into records of one stream. It never fails, so
// that a full disk does not block the container; Log.Close tells.
type Stream struct {
	log  *Log
	name string // stdout or stderr
	now  func() time.Time
	part []byte
}

// Stream gives the stream of that name; each belongs to one goroutine.
func (l *Log) Stream(name string, now func() time.Time) *Stream {
	return &Stream{log: l, name: name, now: now}
}

// Write implements io.Writer.
func (s *Stream) Write(data []byte) (int, error) {
	n := len(data)
	var out []byte
	stamp := s.now().Format(timeFormat)
	for len(data) > 0 {
		piece, full := data, false
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			piece, full = data[:i], true
		}
		if room := LineBytesMax - len(s.part); len(piece) > room {
			piece, full = piece[:room], false
		}
		s.part = append(s.part, piece...)
		data = data[len(piece):]
		switch {
		case full:
			data = data[1:]
			out = s.record(out, stamp, 'F')
		case len(s.part) == LineBytesMax:
			out = s.record(out, stamp, 'P')
		}
	}
	if len(out) > 0 {
		s.log.write(out)
	}
	return n, nil
}

// End writes what had no line feed.
func (s *Stream) End() {
	if len(s.part) > 0 {
		s.log.write(s.record(nil, s.now().Format(timeFormat), 'P'))
	}
}

func (s *Stream) record(out []byte, stamp string, tag byte) []byte {
	out = append(append(append(out, stamp...), ' '), s.name...)
	out = append(append(out, ' ', tag, ' '), s.part...)
	s.part = s.part[:0]
	return append(out, '\n')
}
