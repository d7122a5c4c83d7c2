package turnstile

import (
	"net"
	"net/netip"
	"sync"
)

// listener is a net.Listener that is safe to be used as any other.
type listener struct {
	net.Listener
	all, each int

	mu   sync.Mutex
	now  int
	from map[netip.Addr]int
}

// New wraps a listener: all connections at a time, each of one address. Those beyond are
// closed as they come.
func New(l net.Listener, all, each int) net.Listener {
	return &listener{Listener: l, all: all, each: each, from: map[netip.Addr]int{}}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if in := l.enter(c); in != nil {
			return in, nil
		}
		c.Close()
	}
}

// addrOf is the zero address for what has none, such as a unix socket.
func addrOf(c net.Conn) netip.Addr {
	at, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	return at.Addr().Unmap()
}

func (l *listener) enter(c net.Conn) net.Conn {
	addr := addrOf(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now >= l.all || l.from[addr] >= l.each {
		return nil
	}
	l.now++
	l.from[addr]++
	return &conn{c, sync.OnceFunc(func() { l.leave(addr) })}
}

func (l *listener) leave(addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now--
	if l.from[addr]--; l.from[addr] == 0 {
		delete(l.from, addr)
	}
}

type conn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.leave()
	return c.Conn.Close()
}
