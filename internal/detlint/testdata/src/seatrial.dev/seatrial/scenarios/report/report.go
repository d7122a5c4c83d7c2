// Package report stands for what is covered but no part of the core.
package report

import (
	"os"
	"time"
)

func write(name string) error { return os.WriteFile(name, nil, 0o644) }

func share(a, b int) float64 { return float64(a) / float64(b) }

func stamp() time.Time { return time.Now() } // want `time.Now: take now as an argument`
