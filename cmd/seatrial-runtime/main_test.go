package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// TestMain is also a process that is to become a container's, as far as its first thread.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "init" {
		os.Exit(firstThread())
	}
	os.Exit(m.Run())
}

// firstThread lets others have the threads again and again, and says whether this
// goroutine has the first one all the same.
func firstThread() int {
	for range 100 {
		for range 8 {
			go func() {
				for end := time.Now().Add(100 * time.Microsecond); time.Now().Before(end); {
					continue
				}
			}()
		}
		<-time.After(50 * time.Microsecond)
		if tid, pid := syscall.Gettid(), syscall.Getpid(); tid != pid {
			fmt.Printf("it is on thread %d of process %d\n", tid, pid)
			return 1
		}
	}
	return 0
}

// TestFirstThread: what becomes a container's process is on the thread that the shim
// looks at.
func TestFirstThread(t *testing.T) {
	for range 20 { // by chance most are, anyway
		out, err := exec.Command("/proc/self/exe", "init").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}
