package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// dialMax is how long a connection to a pod may take.
const dialMax = 10 * time.Second

// dialPod connects to the first address that answers, from within the network namespace
// bound at a path, or from this one if that is empty.
func dialPod(ctx context.Context, netns string, hosts []string, port uint16) (net.Conn, error) {
	var failed error
	for _, host := range hosts {
		conn, err := dialIn(ctx, netns, net.JoinHostPort(host, strconv.Itoa(int(port))))
		if err == nil {
			return conn, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// dialIn works on a thread of its own: the socket belongs to the namespace in which it
// was made, wherever it is used afterwards. The address must be literal, since names are
// looked up by other threads.
func dialIn(ctx context.Context, netns, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialMax}
	if netns == "" {
		return d.DialContext(ctx, "tcp", address)
	}
	type dialed struct {
		conn net.Conn
		err  error
	}
	done := make(chan dialed, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := enter(netns); err != nil {
			done <- dialed{err: err}
			return
		}
		conn, err := d.DialContext(ctx, "tcp", address)
		done <- dialed{conn, err}
	}()
	got := <-done
	return got.conn, got.err
}

// enter puts the calling thread into a network namespace.
func enter(netns string) error {
	f, err := os.Open(netns)
	if err != nil {
		return fmt.Errorf("the pod's network namespace: %w", err)
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace %s: %w", netns, err)
	}
	return nil
}
