//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// Limits of asking the main process.
const (
	askMax      = 5 * time.Second
	askBytesMax = 64 << 10
)

// yes is the main process's answer to those whom it lets succeed.
const yes = "ok"

// doorName is the main process's socket: an abstract one, as the root may be read-only,
// and named by the mount namespace, which each container has of its own, unlike its
// network and, at times, its process numbers.
func doorName() (string, error) {
	ns, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return "", err
	}
	return "@seatrial-standin/" + ns, nil
}

// claim opens the main process's door; nil if there is one already.
func claim() (net.Listener, error) {
	name, err := doorName()
	if err != nil {
		return nil, err
	}
	if os.Getpid() != 1 && firstIsStandin() {
		return nil, nil // even if it has not come to open its door
	}
	l, err := net.Listen("unix", name)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, nil
	}
	return l, err
}

// firstIsStandin says whether process 1 runs this program. It does not where containers
// share their process numbers.
func firstIsStandin() bool {
	own, err := os.Stat("/proc/self/exe")
	if err != nil {
		return false
	}
	first, err := os.Stat("/proc/1/exe")
	return err == nil && os.SameFile(own, first)
}

// ask asks the main process about itself and returns the exit status.
func ask(what string) int {
	answer, err := askDoor(what)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "standin:", err)
		return 1
	case answer != yes:
		fmt.Println(answer)
		return 1
	}
	return 0
}

func askDoor(what string) (string, error) {
	name, err := doorName()
	if err != nil {
		return "", err
	}
	c, err := net.DialTimeout("unix", name, askMax)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(askMax)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(c, "%s\n", strings.ReplaceAll(what, "\n", " ")); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

// answer answers whoever asks at the door.
func (p *process) answer(door net.Listener) {
	for {
		c, err := door.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if c.SetDeadline(time.Now().Add(askMax)) != nil {
				return
			}
			r := bufio.NewReaderSize(c, askBytesMax)
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			answer := yes
			if problem := p.problem(strings.TrimSuffix(string(line), "\n")); problem != "" {
				answer = problem
			}
			fmt.Fprintf(c, "%s\n", answer)
		}()
	}
}
