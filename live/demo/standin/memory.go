//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// How memory is held. The machine's is everybody's: beyond the most, a container without
// a limit grows no more.
const (
	holdEvery    = 100 * time.Millisecond
	holdBytesMin = 256 << 10 // at a time
	holdBytesMax = 4 << 30
)

// hold takes as much memory as the behaviour says, its own included, and touches it, so
// that the container has it.
func (p *process) hold() {
	if p.b.MemoryStart <= 0 && p.b.MemoryGrowth <= 0 {
		return
	}
	for {
		want := min(wanted(p.b.MemoryStart, p.b.MemoryGrowth, time.Since(p.runs)), holdBytesMax)
		has, err := resident()
		if err == nil && want-has >= holdBytesMin {
			err = touch(want - has)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "standin: hold memory:", err)
			return
		}
		time.Sleep(holdEvery)
	}
}

// wanted is the memory in use after a time.
func wanted(start, growth int64, after time.Duration) int64 {
	return start + int64(float64(growth)*after.Minutes())
}

// resident is the memory that the process has.
func resident() (int64, error) {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	f := bytes.Fields(raw)
	if len(f) < 2 {
		return 0, fmt.Errorf("/proc/self/statm %q: want two numbers", raw)
	}
	pages, err := strconv.ParseInt(string(f[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// touch takes memory that is not given back.
func touch(bytes int64) error {
	mem, err := syscall.Mmap(-1, 0, int(bytes), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return err
	}
	for i := 0; i < len(mem); i += os.Getpagesize() {
		mem[i] = 1
	}
	return nil
}
