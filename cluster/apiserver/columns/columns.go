package columns

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"seatrial.dev/seatrial/cluster/kinds"
)

// printer says how kubectl get shows a kind. The columns and what stands in them are
// what upstream's server sends; ages are by the cluster's clock.
type printer struct {
	columns []metav1.TableColumnDefinition
	cells   func(o kinds.Object, now time.Time) []any
	done    func(o kinds.Object) string // the reason why an object has run to its end; "" if it has not
}

// columns makes column definitions from their names. A name after "wide:" is shown
// with -o wide only; "#" before a name makes a number of it.
func columns(names ...string) []metav1.TableColumnDefinition {
	list := make([]metav1.TableColumnDefinition, len(names))
	for i, n := range names {
		c := metav1.TableColumnDefinition{Type: "string"}
		if n, ok := strings.CutPrefix(n, "wide:"); ok {
			c.Priority, c.Name = 1, n
		} else {
			c.Name = n
		}
		if n, ok := strings.CutPrefix(c.Name, "#"); ok {
			c.Type, c.Name = "integer", n
		}
		if c.Name == "Name" && c.Priority == 0 {
			c.Format = "name"
		}
		c.Description = columnDescriptions[c.Name]
		list[i] = c
	}
	return list
}

var columnDescriptions = map[string]string{
	"Name": metav1.ObjectMeta{}.SwaggerDoc()["name"],
	"Age":  metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"],
}

// otherKinds shows what has no printer of its own.
var otherKinds = printer{columns: columns("Name", "Created At"), cells: func(o kinds.Object, _ time.Time) []any {
	return []any{o.GetName(), o.GetCreationTimestamp().UTC().Format(time.RFC3339)}
}}

// printers is filled by the files named for what they show.
var printers = tableOfPrinters()

func tableOfPrinters() map[kinds.Kind]printer {
	all := map[kinds.Kind]printer{}
	for _, part := range []map[kinds.Kind]printer{podPrinters(), workloadPrinters(), networkPrinters(), storagePrinters(), clusterPrinters()} {
		for k, p := range part {
			all[k] = p
		}
	}
	return all
}

// Set is the columns of a kind.
type Set struct {
	p printer
}

// Of returns the columns of a kind.
func Of(k kinds.Kind) Set {
	if p, ok := printers[k]; ok {
		return Set{p}
	}
	return Set{otherKinds}
}

// Definitions describes the columns; the slice is the caller's own.
func (s Set) Definitions() []metav1.TableColumnDefinition { return slices.Clone(s.p.columns) }

// Row shows an object of the kind, with the cluster's time now. Its Object is left to
// the caller.
func (s Set) Row(o kinds.Object, now time.Time) metav1.TableRow {
	row := metav1.TableRow{Cells: s.p.cells(o, now)}
	if s.p.done == nil {
		return row
	}
	switch reason := s.p.done(o); reason {
	case "":
	case "Failed":
		row.Conditions = []metav1.TableRowCondition{{Type: metav1.RowCompleted, Status: metav1.ConditionTrue, Reason: reason, Message: "The pod failed."}}
	default:
		row.Conditions = []metav1.TableRowCondition{{Type: metav1.RowCompleted, Status: metav1.ConditionTrue, Reason: reason,
			Message: "The pod has completed successfully."}}
	}
	return row
}

// since is how long ago a time was, as kubectl shows it.
func since(at metav1.Time, now time.Time) string {
	if at.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(at.Time))
}

func age(o kinds.Object, now time.Time) string { return since(o.GetCreationTimestamp(), now) }

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

func orUnset(s string) string {
	if s == "" {
		return "<unset>"
	}
	return s
}

// labelText is a selector as kubectl shows it.
func labelText(m map[string]string) string {
	if len(m) == 0 {
		return "<none>"
	}
	list := make([]string, 0, len(m))
	for k, v := range m {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}

func selectorText(s *metav1.LabelSelector) string { return metav1.FormatLabelSelector(s) }
