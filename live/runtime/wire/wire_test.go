package wire

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pair gives both ends of a connection, in a folder too deep for a socket's address.
func pair(t *testing.T) (*Conn, *Conn) {
	path := filepath.Join(t.TempDir(), strings.Repeat("deep", 30), "sock")
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	l, err := Listen(path)
	require.NoError(t, err)
	defer l.Close()
	a, err := Dial(context.Background(), path)
	require.NoError(t, err)
	c, err := l.AcceptUnix()
	require.NoError(t, err)
	b := NewConn(c)
	t.Cleanup(func() { a.Close(); b.Close() })
	uid, err := b.CallerUID()
	require.NoError(t, err)
	require.Equal(t, os.Geteuid(), uid)
	return a, b
}

func TestMessages(t *testing.T) {
	a, b := pair(t)
	big := strings.Repeat("x", 1<<20)
	sent := make(chan error, 1)
	go func() {
		sent <- errors.Join(a.Send("one"), a.Send([]string{"two", big}), a.Send(3), a.Close())
	}()
	var one string
	_, err := b.Receive(&one)
	require.NoError(t, err)
	require.Equal(t, "one", one)
	var two []string
	_, err = b.Receive(&two)
	require.NoError(t, err)
	require.Equal(t, []string{"two", big}, two)
	_, err = b.Receive(&one)
	require.Error(t, err, "a number is no string")
	_, err = b.Receive(&one)
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, <-sent)
}

func TestFiles(t *testing.T) {
	a, b := pair(t)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, a.Send("files", w, w))
	w.Close()
	var s string
	files, err := b.Receive(&s)
	require.NoError(t, err)
	require.Len(t, files, 2)
	_, err = files[0].WriteString("through")
	require.NoError(t, err)
	for _, f := range files {
		require.NoError(t, f.Close())
	}
	data, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "through", string(data))
}

func TestLimits(t *testing.T) {
	a, b := pair(t)
	require.ErrorContains(t, a.Send(strings.Repeat("x", MessageBytesMax)), "the most is")
	go func() {
		_, _ = a.c.Write([]byte(strings.Repeat("x", MessageBytesMax+1)))
	}()
	_, err := b.Receive(new(string))
	require.ErrorContains(t, err, "longer than")

	a, b = pair(t)
	files := make([]*os.File, FilesMax+1)
	for i := range files {
		files[i] = os.Stdin
	}
	require.NoError(t, a.Send("too many", files...))
	_, err = b.Receive(new(string))
	require.ErrorContains(t, err, "more than 3 files")
}
