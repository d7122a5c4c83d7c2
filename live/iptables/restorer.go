package iptables

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// restorerLinesMax is after how many lines an iptables-restore is replaced: one that has
// written everything is larger from then on, and slower.
const restorerLinesMax = 10_000

// How long a restorer may take.
const (
	greetMax = 5 * time.Second // to answer when it has been started
	endMax   = 5 * time.Second // to end when its input has
)

// restorer is an iptables-restore of the nf_tables backend that stays: each script is its
// next lines. With many rules in the kernel, starting a program for each change and the
// kernel's work when that one's socket closes (it waits until no packet can see the old
// rules any more) cost as much as the change.
//
// Its answer to a script is the comment at the script's end, which it prints (--verbose)
// when it has come to it. At the first error it ends.
type restorer struct {
	name    string
	pid     int
	in, out *os.File
	lines   *bufio.Reader // of out
	read    int           // lines that it has been given
	stop    context.CancelFunc
	problem bytes.Buffer  // what it has written to stderr; complete when it has ended
	ended   chan struct{} // closed then
	err     error         // how, then
}

// startRestorer starts one in a network namespace and waits until it answers.
func startRestorer(ctx context.Context, netns, name string) (*restorer, error) {
	r, err := launch(netns, name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, greetMax)
	defer cancel()
	if err := r.restore(ctx, nil); err != nil {
		return nil, err
	}
	return r, nil
}

func launch(netns, name string) (*restorer, error) {
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer inRead.Close()
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		inWrite.Close()
		return nil, err
	}
	defer outWrite.Close()
	ctx, stop := context.WithCancel(context.Background())
	r := &restorer{name: name, in: inWrite, out: outRead, lines: bufio.NewReader(outRead), stop: stop, ended: make(chan struct{})}
	cmd := exec.CommandContext(ctx, name, "--noflush", "--verbose")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inRead, outWrite, &r.problem
	if err := inNetns(netns, cmd.Start); err != nil {
		stop()
		inWrite.Close()
		outRead.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r.pid = cmd.Process.Pid
	go func() {
		r.err = cmd.Wait()
		stop()
		close(r.ended)
	}()
	return r, nil
}

// alive says whether it may be given a script.
func (r *restorer) alive() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// restore has a script carried out. After an error the restorer has ended.
func (r *restorer) restore(ctx context.Context, text []byte) error {
	defer context.AfterFunc(ctx, r.stop)()
	mark := fmt.Sprintf("# line %d\n", r.read)
	err := r.talk(append(text[:len(text):len(text)], mark...), mark)
	if err == nil {
		r.read += bytes.Count(text, []byte("\n")) + 1
		return nil
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE) {
		r.stop() // it does not end by itself
	}
	r.close()
	if ctx.Err() != nil {
		err = ctx.Err()
	} else if r.err != nil && !errors.Is(r.err, context.Canceled) {
		err = r.err
	}
	return fmt.Errorf("%s: %w: %s", r.name, err, strings.TrimSpace(r.problem.String()))
}

func (r *restorer) talk(text []byte, mark string) error {
	deadline := time.Now().Add(commandMax)
	if err := errors.Join(r.in.SetWriteDeadline(deadline), r.out.SetReadDeadline(deadline)); err != nil {
		return err
	}
	if _, err := r.in.Write(text); err != nil {
		return err
	}
	for {
		line, err := r.lines.ReadString('\n')
		if err != nil || line == mark {
			return err
		}
	}
}

// close ends it: at the end of its input, or by force.
func (r *restorer) close() {
	r.in.Close()
	late := time.AfterFunc(endMax, r.stop)
	defer late.Stop()
	<-r.ended
	r.out.Close()
}
