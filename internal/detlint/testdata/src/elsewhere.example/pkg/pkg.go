// Package pkg is of another module.
package pkg

import "time"

func Now() time.Time { return time.Now() }

var Mine = 1 //det:ok means nothing here
