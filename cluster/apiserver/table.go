package apiserver

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"seatrial.dev/seatrial/cluster/apiserver/columns"
	"seatrial.dev/seatrial/cluster/kinds"
)

// table shows objects as a Table, each with as much of itself as was asked for.
func (c *call) table(items []kinds.Object, meta metav1.ListMeta) (*metav1.Table, error) {
	set := columns.Of(c.res.kind)
	include := metav1.IncludeObjectPolicy(c.query.Get("includeObject"))
	t := &metav1.Table{ListMeta: meta, ColumnDefinitions: set.Definitions(), Rows: make([]metav1.TableRow, len(items))}
	for i, o := range items {
		row := set.Row(o, c.now)
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
