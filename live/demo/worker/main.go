// Command worker does some units of work, a line each, and ends with a given exit code.
// It can eat memory on the way, so as to be stopped by its limit.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const mib = 1 << 20

func main() {
	units := flag.Int("units", 1, "units of work")
	each := flag.Duration("each", 100*time.Millisecond, "how long a unit takes")
	code := flag.Int("exit", 0, "exit code, 0 to 255")
	memory := flag.Int("memory", 0, "MiB to eat, spread over the units")
	message := flag.String("message", "", "written to /dev/termination-log at the end")
	flag.Parse()
	if *units < 0 || *each < 0 || *memory < 0 || *code < 0 || *code > 255 {
		fmt.Fprintln(os.Stderr, "worker: want --units, --each and --memory of 0 or more, --exit from 0 to 255")
		os.Exit(2)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	var eaten [][]byte
	for i := range *units {
		eaten = append(eaten, eat(*memory*mib/(*units)))
		select {
		case <-time.After(*each):
			fmt.Printf("unit %d of %d\n", i+1, *units)
		case s := <-stop:
			fmt.Println("stopped by", s)
			os.Exit(128 + int(s.(syscall.Signal)))
		}
	}
	if *message != "" {
		if err := os.WriteFile("/dev/termination-log", []byte(*message), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
		}
	}
	fmt.Printf("done, %d parts of memory eaten\n", len(eaten))
	os.Exit(*code)
}

// eat takes memory and writes to each page: what is not written to is not there.
func eat(n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 4096 {
		b[i] = 1
	}
	return b
}
