package openb

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"seatrial.dev/seatrial/cluster/kinds"
)

// Limits of a trace.
const (
	rowsMax   = 1_000_000
	errorsMax = 20 // that are told of one file
	devices   = 64 // GPUs of one node
	cpuMax    = 1_000_000_000
	memMax    = 1 << 34 // MiB
	secondMax = 1 << 33
)

// Node is a row of the file of nodes.
type Node struct {
	Name     string
	CPUMilli int64
	MemMiB   int64
	GPUs     int64
	Model    string
}

// Never is the time of what did not happen.
const Never = -1

// Pod is a row of the file of pods. Times are seconds since the start of the trace.
type Pod struct {
	Name         string
	CPUMilli     int64
	MemMiB       int64
	GPUs         int64
	GPUMilli     int64 // of each of them
	Models       []string
	QoS          string
	Phase        string // at the end of the trace
	CreatedSec   int64
	DeletedSec   int64 // Never for a pod that stays
	ScheduledSec int64 // in the cluster that was traced; Never if it was not
}

var (
	nodeColumns = [...]string{"sn", "cpu_milli", "memory_mib", "gpu", "model"}
	podColumns  = [...]string{"name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec", "qos", "pod_phase",
		"creation_time", "deletion_time", "scheduled_time"}
)

// ReadNodes reads a file of nodes. The error names file, line and column of all that is
// wrong, up to a limit.
func ReadNodes(file string) ([]Node, error) {
	var list []Node
	err := read(file, nodeColumns[:], func(r *row) {
		before := len(*r.errs)
		n := Node{Name: r.name("sn"), CPUMilli: r.number("cpu_milli", 0, cpuMax), MemMiB: r.number("memory_mib", 0, memMax),
			GPUs: r.number("gpu", 0, devices), Model: r.label("model")}
		if len(*r.errs) == before {
			r.label("sn") // it becomes the host's label, too
		}
		if len(*r.errs) == before && n.GPUs > 0 && n.Model == "" {
			r.fail("model", "want the model of the node's GPUs, as V100M16")
		}
		list = append(list, n)
	})
	if err == nil && len(list) == 0 {
		err = &kinds.InputError{File: file, Line: 1, Problem: "has no nodes: want a row for each below the header"}
	}
	return list, err
}

// ReadPods reads a file of pods, as ReadNodes does. They are in the order of the file.
func ReadPods(file string) ([]Pod, error) {
	var list []Pod
	err := read(file, podColumns[:], func(r *row) {
		before := len(*r.errs)
		p := Pod{Name: r.name("name"), CPUMilli: r.number("cpu_milli", 0, cpuMax), MemMiB: r.number("memory_mib", 0, memMax),
			GPUs: r.number("num_gpu", 0, devices), GPUMilli: r.number("gpu_milli", 0, 1000), Models: r.models("gpu_spec"),
			QoS: r.label("qos"), Phase: r.label("pod_phase"), CreatedSec: r.number("creation_time", 0, secondMax),
			DeletedSec: r.time("deletion_time"), ScheduledSec: r.time("scheduled_time")}
		list = append(list, p)
		switch {
		case len(*r.errs) > before:
		case p.GPUs == 0 && p.GPUMilli != 0:
			r.fail("gpu_milli", "want 0 for a pod without GPUs (num_gpu is 0)")
		case p.GPUs > 0 && p.GPUMilli == 0:
			r.fail("gpu_milli", "want 1 to 1000, the thousandths of each GPU: num_gpu is %d", p.GPUs)
		case p.DeletedSec != Never && p.DeletedSec < p.CreatedSec:
			r.fail("deletion_time", "want a time of %d (creation_time) or later", p.CreatedSec)
		}
	})
	if err == nil && len(list) == 0 {
		err = &kinds.InputError{File: file, Line: 1, Problem: "has no pods: want a row for each below the header"}
	}
	return list, err
}

// row is one row of a file.
type row struct {
	file   string
	line   int
	column map[string]int
	fields []string
	names  map[string]int // the line on which each was
	errs   *[]*kinds.InputError
}

func read(file string, columns []string, take func(*row)) error {
	f, err := os.Open(file)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return &kinds.InputError{File: file, Problem: "cannot be opened: " + err.Error()}
	}
	defer f.Close() // it was only read
	c := csv.NewReader(f)
	c.FieldsPerRecord, c.ReuseRecord = -1, true
	header, err := c.Read()
	if err != nil {
		return malformed(file, err, columns)
	}
	at, err := headerOf(file, header, columns)
	if err != nil {
		return err
	}
	want := len(header)
	var errs []*kinds.InputError
	r := row{file: file, column: at, names: map[string]int{}, errs: &errs}
	for n := 0; len(errs) < errorsMax; n++ {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return malformed(file, err, columns)
		}
		r.line, _ = c.FieldPos(0)
		r.fields = fields
		switch {
		case n >= rowsMax:
			return &kinds.InputError{File: file, Line: r.line, Problem: fmt.Sprintf("has more than %d rows", rowsMax)}
		case len(fields) != want:
			r.fail("", "has %d fields, want %d: %s", len(fields), want, strings.Join(columns, ","))
		default:
			take(&r)
		}
	}
	return kinds.JoinInputErrors(errs)
}

func malformed(file string, err error, columns []string) error {
	e := &kinds.InputError{File: file, Problem: "is not CSV: " + err.Error()}
	var p *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		e.Line, e.Problem = 1, "is empty: want the header "+strings.Join(columns, ",")
	case errors.As(err, &p):
		e.Line, e.Problem = p.Line, "is not CSV: "+p.Err.Error()
	}
	return e
}

func headerOf(file string, header, columns []string) (map[string]int, error) {
	at := map[string]int{}
	for i, name := range header {
		name = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))
		if !slices.Contains(columns, name) {
			return nil, &kinds.InputError{File: file, Line: 1, Field: name, Problem: "is no column of this file; want " + strings.Join(columns, ",")}
		}
		if _, twice := at[name]; twice {
			return nil, &kinds.InputError{File: file, Line: 1, Field: name, Problem: "is named twice; want " + strings.Join(columns, ",")}
		}
		at[name] = i
	}
	for _, name := range columns {
		if _, ok := at[name]; !ok {
			return nil, &kinds.InputError{File: file, Line: 1, Field: name, Problem: "is missing; want " + strings.Join(columns, ",")}
		}
	}
	return at, nil
}

func (r *row) field(column string) string { return strings.TrimSpace(r.fields[r.column[column]]) }

func (r *row) fail(column, format string, args ...any) {
	e := &kinds.InputError{File: r.file, Line: r.line, Field: column, Problem: fmt.Sprintf(format, args...)}
	if column != "" && r.field(column) != "" {
		e.Value = r.field(column)
		e.Problem = fmt.Sprintf("%q: %s", e.Value, e.Problem)
	}
	*r.errs = append(*r.errs, e)
}

// number reads a column; empty is 0, as is what stands before ".0".
func (r *row) number(column string, low, high int64) int64 {
	text := r.field(column)
	if text == "" && low == 0 {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(text, ".0"), 10, 64)
	if err != nil || n < low || n > high {
		r.fail(column, "want a whole number from %d to %d", low, high)
		return low
	}
	return n
}

func (r *row) time(column string) int64 {
	if r.field(column) == "" {
		return Never
	}
	return r.number(column, 0, secondMax)
}

// name reads the column that names the row's object.
func (r *row) name(column string) string {
	name := r.field(column)
	switch errs := validation.IsDNS1123Subdomain(name); {
	case name == "":
		r.fail(column, "is required: the name of the object")
	case len(errs) > 0:
		r.fail(column, "%s", strings.Join(errs, "; "))
	case r.names[name] > 0:
		r.fail(column, "want a name of its own: line %d has this one", r.names[name])
	}
	r.names[name] = r.line
	return name
}

// label reads a column whose value becomes a label's.
func (r *row) label(column string) string {
	value := r.field(column)
	if errs := validation.IsValidLabelValue(value); len(errs) > 0 {
		r.fail(column, "%s", strings.Join(errs, "; "))
	}
	return value
}

func (r *row) models(column string) []string {
	text := r.field(column)
	if text == "" {
		return nil
	}
	list := strings.Split(text, "|")
	for _, m := range list {
		if m == "" || len(validation.IsValidLabelValue(m)) > 0 {
			r.fail(column, "want models of GPUs separated by |, as V100M16|V100M32")
			return nil
		}
	}
	return list
}
