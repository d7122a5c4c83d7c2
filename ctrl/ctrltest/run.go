package ctrltest

import (
	"testing"

	"github.com/cockroachdb/datadriven"
)

func (w *World) run(t *testing.T, d *datadriven.TestData) string {
	t.Fatalf("%s: run needs the API", d.Pos)
	return ""
}
