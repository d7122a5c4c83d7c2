package turnstile_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/live/turnstile"
)

const eventMax = 10 * time.Second

// TestLimits: the third connection of an address is closed, and so is the fourth of all;
// one that ends makes room.
func TestLimits(t *testing.T) {
	inner, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	l := turnstile.New(inner, 3, 2)
	defer l.Close()
	in := make(chan net.Conn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(in)
				return
			}
			in <- c
		}
	}()
	dial := func(from byte) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, from)}}
		c, err := d.Dial("tcp4", inner.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	refused := func(from byte) {
		t.Helper()
		c := dial(from)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(eventMax)))
		_, err := c.Read(make([]byte, 1))
		late, is := err.(net.Error)
		require.False(t, is && late.Timeout(), "it was let in")
		require.Error(t, err)
	}
	dial(1)
	first := <-in
	dial(1)
	<-in
	refused(1)
	dial(2)
	<-in
	refused(2)
	refused(3)
	require.NoError(t, first.Close())
	_ = first.Close() // counts once
	dial(3)
	<-in
	refused(4)
}
