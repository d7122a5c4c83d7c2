package gossip

import (
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"

	"github.com/hashicorp/memberlist"
)

// Limits of connections that others open. Whoever can reach the port can open them, a pod
// for one: memberlist would take any number, and would read up to 20 MiB of each into
// memory before it finds that the key is not the cluster's.
const (
	streamsMax        = 32      // at a time
	streamsPerAddrMax = 4       // of one address
	streamBytesMax    = 4 << 20 // of one, in: all that 5000 members have to say of each other
)

// errStreamLong ends a connection on which more comes than members have to say.
var errStreamLong = errors.New("more than streamBytesMax on one connection")

// streams is the transport of sockets with those limits.
type streams struct {
	*memberlist.NetTransport
	out  chan net.Conn
	done chan struct{}
	pump sync.WaitGroup

	mu   sync.Mutex
	all  int
	each map[netip.Addr]int
}

func newStreams(addr string, port int, logger *log.Logger) (*streams, error) {
	inner, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{BindAddrs: []string{addr}, BindPort: port, Logger: logger})
	if err != nil {
		// memberlist keeps of the cause only its text.
		if text := syscall.EADDRINUSE.Error(); strings.HasSuffix(err.Error(), text) {
			err = fmt.Errorf("%s%w", strings.TrimSuffix(err.Error(), text), syscall.EADDRINUSE)
		}
		return nil, err
	}
	s := &streams{NetTransport: inner, out: make(chan net.Conn), done: make(chan struct{}), each: map[netip.Addr]int{}}
	s.pump.Go(s.admit)
	return s, nil
}

// StreamCh implements memberlist.Transport.
func (s *streams) StreamCh() <-chan net.Conn { return s.out }

// Shutdown implements memberlist.Transport.
func (s *streams) Shutdown() error {
	err := s.NetTransport.Shutdown() // which waits until admit has taken what there was
	close(s.done)
	s.pump.Wait()
	return err
}

// admit hands connections on, and closes those that are too many.
func (s *streams) admit() {
	for {
		select {
		case c := <-s.NetTransport.StreamCh():
			if c = s.enter(c); c == nil {
				continue
			}
			select {
			case s.out <- c:
			case <-s.done:
				c.Close()
			}
		case <-s.done:
			return
		}
	}
}

func (s *streams) enter(c net.Conn) net.Conn {
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		panic(fmt.Sprintf("gossip: a TCP connection from %s", c.RemoteAddr()))
	}
	addr := at.Addr().Unmap()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= streamsMax || s.each[addr] >= streamsPerAddrMax {
		c.Close()
		return nil
	}
	s.all++
	s.each[addr]++
	return &stream{Conn: c, left: streamBytesMax, leave: sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.each[addr]--; s.each[addr] == 0 {
			delete(s.each, addr)
		}
	})}
}

// stream is one connection; one goroutine reads it.
type stream struct {
	net.Conn
	left  int
	leave func()
}

// Read implements net.Conn.
func (s *stream) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, errStreamLong
	}
	n, err := s.Conn.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.leave()
	return s.Conn.Close()
}
