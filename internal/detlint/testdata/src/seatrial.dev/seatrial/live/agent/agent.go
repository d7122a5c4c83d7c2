// Package agent stands for the real world, which the rules are not for.
package agent

import "time"

var last time.Time

func Loop(c chan int) {
	go func() { c <- 1 }()
	last = time.Now()
	last = time.Now() //det:ok not needed in here // want `this package is not covered by detlint`
}
