package gossip

import (
	"encoding/binary"
	"io"
	"log"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// encryptMsg begins a message that is encrypted (memberlist's net.go); its length follows.
const encryptMsg = 10

// TestStreamsAreLimited: who does not have the key can neither keep many connections open
// nor have much of one read into memory, and members get in all the same.
func TestStreamsAreLimited(t *testing.T) {
	server := newMember(t, "server-0", 0, func(c *Config) { c.Role = Server })
	dial := func() net.Conn {
		c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: loopback(t, 9).AsSlice()}}).Dial("tcp", at(loopback(t, 0)))
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		_, _ = c.Write(binary.BigEndian.AppendUint32([]byte{encryptMsg}, 20<<20-1)) // it may be closed already
		return c
	}
	var all []net.Conn
	for range 4 * streamsPerAddrMax {
		all = append(all, dial())
	}
	var open atomic.Int64
	var looks sync.WaitGroup
	deadline := time.Now().Add(streamTimeout / 3) // before memberlist gives them up itself
	for _, c := range all {
		require.NoError(t, c.SetReadDeadline(deadline))
		looks.Go(func() {
			_, err := c.Read(make([]byte, 1))
			if late, is := err.(net.Error); is && late.Timeout() {
				open.Add(1)
			}
		})
	}
	looks.Wait()
	require.LessOrEqual(t, open.Load(), int64(streamsPerAddrMax))
	newMember(t, "a", 1, func(c *Config) { c.Join = []string{at(loopback(t, 0))} })
	expect(t, server, Joined, "a")

	for _, c := range all {
		c.Close()
	}
	require.Eventually(t, func() bool {
		c := dial()
		defer c.Close()
		wrote, err := io.Copy(c, io.LimitReader(zeros{}, 20<<20))
		return err != nil && wrote > streamBytesMax/2 // what is in the kernel's buffers counts, too
	}, eventMax, time.Millisecond, "it is read to its end")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestPortTaken: who finds the port taken is told so in a way that it can tell.
func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, err = newStreams("127.0.0.1", l.Addr().(*net.TCPAddr).Port, log.New(io.Discard, "", 0))
	require.ErrorIs(t, err, syscall.EADDRINUSE)
}
