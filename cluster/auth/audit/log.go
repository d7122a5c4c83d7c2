package audit

import (
	"encoding/json"
	"fmt"
	"io"
)

// Files gives a Log files to write to.
type Files interface {
	// Next puts the present file, if there is one, among the old ones, of which the
	// newest keep files are kept, and opens a fresh one in its place. It returns
	// how long that is already: a server that starts again goes on in its file.
	Next(first bool, keep int) (f io.WriteCloser, bytes int64, err error)
}

// Config limits a Log.
type Config struct {
	FileBytesMax int64 // of one file
	FilesMax     int   // files beside the present one
}

// Preset is what Kubernetes' documentation suggests: ten files of 100 MB.
func Preset() Config { return Config{FileBytesMax: 100 << 20, FilesMax: 10} }

// fileBytesMin keeps a log from opening a file for each few lines. A line that is
// longer than a file may be has a file for itself.
const fileBytesMin = 128 << 10

func (c Config) validate() error {
	if c.FileBytesMax < fileBytesMin {
		return fmt.Errorf("audit log of %d bytes a file: must be at least %d", c.FileBytesMax, fileBytesMin)
	}
	if c.FilesMax < 0 {
		return fmt.Errorf("audit log that keeps %d files: must be at least 0", c.FilesMax)
	}
	return nil
}

// Log writes events to files.
type Log struct {
	cfg   Config
	files Files
	file  io.WriteCloser // nil when opening one failed
	bytes int64
}

// Open begins a log.
func Open(cfg Config, files Files) (*Log, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	l := &Log{cfg: cfg, files: files}
	return l, l.next(true)
}

// Write adds a line. After an error the next one tries anew.
func (l *Log) Write(r *Record) error {
	line, err := json.Marshal(New(r))
	if err != nil {
		return fmt.Errorf("audit: write event %s: %w", r.ID, err)
	}
	line = append(line, '\n')
	if l.file == nil || l.bytes+int64(len(line)) > l.cfg.FileBytesMax && l.bytes > 0 {
		if err := l.next(false); err != nil {
			return err
		}
	}
	n, err := l.file.Write(line)
	l.bytes += int64(n)
	if err != nil {
		return fmt.Errorf("audit: write event %s: %w", r.ID, err)
	}
	return nil
}

func (l *Log) next(first bool) error {
	if err := l.Close(); err != nil {
		return err
	}
	file, bytes, err := l.files.Next(first, l.cfg.FilesMax)
	if err != nil {
		return fmt.Errorf("audit: open a file: %w", err)
	}
	l.file, l.bytes = file, bytes
	return nil
}

// Close closes the file. A later Write opens another.
func (l *Log) Close() error {
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("audit: close a file: %w", err)
	}
	return nil
}
