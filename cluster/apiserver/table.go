package apiserver

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
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

// printers is filled by the table_ files.
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

// table shows objects as a Table.
func (c *call) table(items []kinds.Object, meta metav1.ListMeta) (*metav1.Table, error) {
	p, ok := printers[c.res.kind]
	if !ok {
		p = otherKinds
	}
	include := metav1.IncludeObjectPolicy(c.query.Get("includeObject"))
	t := &metav1.Table{ListMeta: meta, ColumnDefinitions: slices.Clone(p.columns), Rows: make([]metav1.TableRow, len(items))}
	for i, o := range items {
		row := metav1.TableRow{Cells: p.cells(o, c.now)}
		if p.done != nil {
			if reason := p.done(o); reason != "" {
				row.Conditions = []metav1.TableRowCondition{{Type: metav1.RowCompleted, Status: metav1.ConditionTrue, Reason: reason,
					Message: "The pod has completed successfully."}}
				if reason == "Failed" {
					row.Conditions[0].Message = "The pod failed."
				}
			}
		}
		switch include {
		case metav1.IncludeNone:
		case metav1.IncludeObject:
			whole, err := c.res.typed(o)
			if err != nil {
				return nil, err
			}
			row.Object = runtime.RawExtension{Object: whole}
		default:
			row.Object = runtime.RawExtension{Object: c.out.metaOf(o)}
		}
		t.Rows[i] = row
	}
	t.SetGroupVersionKind(c.out.metaGroup().WithKind("Table"))
	return t, nil
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
