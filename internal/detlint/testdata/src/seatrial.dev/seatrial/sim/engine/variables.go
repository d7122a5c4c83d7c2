package engine

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"regexp"
	"slices"
)

var (
	ErrGone  = errors.New("gone")
	pattern  = regexp.MustCompile(`x`)
	names    = []string{"a", "b"}
	colours  = map[string]int{"red": 1}
	filled   = map[string]int{}
	computed = func() map[string]int { m := map[string]int{}; m["x"] = 1; colours["y"] = 2; return m }()
	table    = [...]row{{1}, {2}}
	typed    = &failure{}
	_        = names
)

type row struct{ n int }

func (r *row) grow() { r.n++ }

func (r row) size() int { return r.n }

type failure struct{}

func (*failure) Error() string { return "failure" }

func init() {
	filled["a"] = 1
}

var (
	counter   int                           // want `package variable counter is written \(variables.go:\d+\): it would outlive a run`
	total     int                           // want `package variable total is written`
	cache     = map[string]int{}            // want `package variable cache is written`
	list      []string                      // want `package variable list is written`
	sorted    = []int{2, 1}                 // want `package variable sorted is written`
	rows      = []row{{1}}                  // want `package variable rows is written`
	emptied   = map[string]int{}            // want `package variable emptied is written`
	pointed   row                           // want `package variable pointed has its address taken`
	grown     row                           // want `package variable grown has a method called that may write`
	buffer    bytes.Buffer                  // want `package variable buffer has a method called that may write`
	shared    = &row{1}                     // want `package variable shared points to a engine.row, which may be written through it`
	generator = rand.New(rand.NewPCG(1, 2)) // want `package variable generator points to a v2.Rand`
	hook      = func() {}                   // want `package variable hook is written`
	kept      = func() { colour = 3 }
	colour    int // want `package variable colour is written`
	allowed   int //det:ok counts calls for the benchmarks only
)

func write() *row {
	counter++
	total += 2
	cache["x"] = 1
	list = append(list, "x")
	slices.Sort(sorted)
	rows[0].n = 3
	delete(emptied, "x")
	grown.grow()
	buffer.WriteString("x")
	hook = nil
	allowed = 1
	local := names
	_ = append([]string(nil), local...)
	_ = grown.size() + table[1].size() + len(names[0])
	return &pointed
}
