//go:build linux

// Command standin is the main process of a container whose image a scenario describes but
// nobody has: it behaves as the environment variable SEATRIAL_STANDIN says (see package
// behaviour). It takes any arguments and has no use for them.
//
// The first process of a container to run it is the main one. Whatever else runs it there,
// as a probe or a hook, asks the main one, and ends with 0 or 1 for an answer of yes or no.
package main

import (
	"fmt"
	"os"
	"time"

	"seatrial.dev/seatrial/scenarios/standin/behaviour"
)

// wrong is the exit status of one that was told nothing it understands.
const wrong = 2

func main() {
	began := time.Now()
	b, err := behaviour.Parse(os.Getenv(behaviour.Variable))
	if err != nil {
		fail(err)
	}
	door, err := claim()
	if err != nil {
		fail(err)
	}
	if door == nil {
		os.Exit(ask(behaviour.ExecAsk(os.Args)))
	}
	p, err := newProcess(b, began)
	if err != nil {
		fail(err)
	}
	go p.answer(door)
	os.Exit(p.run())
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "standin:", err)
	os.Exit(wrong)
}
