package image

import (
	"io"
	"log"

	"golang.org/x/sys/unix"
)

func unmount(dir string) error   { return unix.Unmount(dir, 0) }
func bind(from, to string) error { return unix.Mount(from, to, "", unix.MS_BIND, "") }
func mkfifo(file string) error   { return unix.Mkfifo(file, 0o600) }
func nopLog() *log.Logger        { return log.New(io.Discard, "", 0) }
