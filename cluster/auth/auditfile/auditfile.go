// Package auditfile keeps an audit log in files: the present one at a path, older
// ones beside it as path.1 (the newest), path.2 and so on. Only their owner may
// read them.
//
// It is the one package below cluster/auth that touches a disk; a server uses it,
// from as many goroutines as it likes. A simulated server has no such log.
package auditfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"seatrial.dev/seatrial/cluster/auth/audit"
)

// Log is an audit log in files.
type Log struct {
	mu  sync.Mutex
	log *audit.Log
}

// Open goes on in the file at path, or begins it; its folder is made.
func Open(path string, cfg audit.Config) (*Log, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("audit log %s: %w", path, err)
	}
	l, err := audit.Open(cfg, files(path))
	if err != nil {
		return nil, err
	}
	return &Log{log: l}, nil
}

// Write adds a line.
func (l *Log) Write(r *audit.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(r)
}

// Close closes the present file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Close()
}

// files is the path of the present file.
type files string

// Next implements audit.Files. Old files beyond those to keep are removed, but for
// those of a server that kept more.
func (p files) Next(first bool, keep int) (io.WriteCloser, int64, error) {
	if !first {
		if err := p.shift(keep); err != nil {
			return nil, 0, err
		}
	}
	f, err := os.OpenFile(string(p), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// shift renames each file to the next number; the last falls off.
func (p files) shift(keep int) error {
	if keep == 0 {
		return gone(os.Remove(string(p)))
	}
	for i := keep - 1; i >= 0; i-- {
		if err := gone(os.Rename(p.old(i), p.old(i+1))); err != nil {
			return err
		}
	}
	return nil
}

func (p files) old(i int) string {
	if i == 0 {
		return string(p)
	}
	return fmt.Sprintf("%s.%d", p, i)
}

// gone takes a file that is not there for no error.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
