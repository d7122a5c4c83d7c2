package kinds

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// loc is a place in an object. Unlike field.Path it lives on the stack, linked
// to the caller's: a valid pod is judged without building a single path.
type loc struct {
	up   *loc // nil at the object's own fields
	name string
	key  string // in a map; empty elsewhere
	item int    // one more than the index in a list; 0 elsewhere
}

func (l *loc) dot(name string) loc          { return loc{up: l, name: name} }
func (l *loc) index(name string, i int) loc { return loc{up: l, name: name, item: i + 1} }
func (l *loc) at(name, key string) loc      { return loc{up: l, name: name, key: key} }

// path is the place as the API machinery's errors name it. It copies the names:
// escape analysis takes a struct as a whole, so to keep one of its strings
// would put every loc on the heap.
func (l *loc) path() *field.Path {
	var p *field.Path
	if l.up != nil {
		p = l.up.path()
	}
	if l.name != "" {
		p = p.Child(strings.Clone(l.name))
	}
	if l.item > 0 {
		return p.Index(l.item - 1)
	}
	if l.key != "" {
		return p.Key(strings.Clone(l.key))
	}
	return p
}

// check gathers what is wrong. Its methods name the field below a place; an
// empty name is the place itself.
type check struct {
	errs field.ErrorList
}

func (c *check) add(list field.ErrorList) { c.errs = append(c.errs, list...) }

func below(at *loc, name string) *field.Path {
	p := at.path()
	if name == "" {
		return p
	}
	return p.Child(name)
}

func (c *check) required(at *loc, name, detail string) {
	c.errs = append(c.errs, field.Required(below(at, name), detail))
}

func (c *check) invalid(at *loc, name string, value any, detail string) {
	c.errs = append(c.errs, field.Invalid(below(at, name), value, detail))
}

// invalids is one error for each message.
func (c *check) invalids(at *loc, name string, value any, details []string) {
	for _, d := range details {
		c.invalid(at, name, value, d)
	}
}

func (c *check) forbidden(at *loc, name, detail string) {
	c.errs = append(c.errs, field.Forbidden(below(at, name), detail))
}

func (c *check) duplicate(at *loc, name string, value any) {
	c.errs = append(c.errs, field.Duplicate(below(at, name), value))
}

func (c *check) notFound(at *loc, name string, value any) {
	c.errs = append(c.errs, field.NotFound(below(at, name), value))
}

func (c *check) notSupported(at *loc, name, value string, values []string) {
	slices.Sort(values)
	c.errs = append(c.errs, field.NotSupported(below(at, name), value, values))
}

const (
	notNegative = "must be greater than or equal to 0"
	positive    = "must be greater than 0"
)

func (c *check) notNegative(at *loc, name string, v int64) {
	if v < 0 {
		c.invalid(at, name, v, notNegative)
	}
}

// oneOf: the value must be one of the constants of a string type.
func oneOf[T ~string](c *check, at *loc, name string, value T, values ...T) {
	if slices.Contains(values, value) {
		return
	}
	if value == "" {
		c.required(at, name, "")
		return
	}
	c.notSupported(at, name, string(value), asStrings(values))
}

// oneOfPtr is oneOf for a field that may be left out.
func oneOfPtr[T ~string](c *check, at *loc, name string, value *T, values ...T) {
	if value != nil && !slices.Contains(values, *value) {
		c.notSupported(at, name, string(*value), asStrings(values))
	}
}

func asStrings[T ~string](values []T) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	return list
}

// sortedKeys is the order in which errors about a map come.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
