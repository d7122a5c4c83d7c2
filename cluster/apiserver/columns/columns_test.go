package columns_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"seatrial.dev/seatrial/cluster/apiserver/columns"
	"seatrial.dev/seatrial/cluster/kinds"
)

// TestRows shows the objects of testdata as rows, at midday of the first of January;
// -rewrite writes them. A column of -o wide has a "+" before its name.
func TestRows(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			docs, err := kinds.Decode("", []byte(d.Input))
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, doc := range docs {
				set := columns.Of(doc.Ref.Kind)
				row := set.Row(doc.Object, now)
				for i, c := range set.Definitions() {
					wide := ""
					if c.Priority > 0 {
						wide = "+"
					}
					fmt.Fprintf(&b, "%s%s: %v\n", wide, c.Name, row.Cells[i])
				}
				for _, c := range row.Conditions {
					fmt.Fprintf(&b, "(%s: %s)\n", c.Type, c.Reason)
				}
			}
			return b.String()
		})
	})
}

// TestEveryKind has as many cells as columns, also for an empty object.
func TestEveryKind(t *testing.T) {
	for _, i := range kinds.All() {
		if i.Kind == kinds.EventsEvent {
			continue // shown as an Event
		}
		set := columns.Of(i.Kind)
		if cells, defs := set.Row(i.New(), time.Time{}).Cells, set.Definitions(); len(cells) != len(defs) {
			t.Errorf("%s: %d cells, %d columns", i.GVK.Kind, len(cells), len(defs))
		}
	}
}
