package check

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// object is a struct as a value of CEL.
type object struct {
	typ *structType
	x   *typeIndex
	ptr native // to the Go struct
}

func (o *object) Type() ref.Type { return o.typ.cel }
func (o *object) Value() any     { return o.ptr }

// Equal compares contents, as two pieces of YAML are equal.
func (o *object) Equal(other ref.Val) ref.Val {
	p, ok := other.(*object)
	return types.Bool(ok && (o.ptr == p.ptr || reflect.DeepEqual(o.ptr, p.ptr)))
}

func (o *object) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a %s cannot become a %v", o.typ.cel.TypeName(), t)
}

func (o *object) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return o.typ.cel
	}
	return types.NewErr("a %s cannot become a %s", o.typ.cel.TypeName(), t.TypeName())
}

// Get reads a field whose name is only known at run time: objects of dynamic type.
func (o *object) Get(index ref.Val) ref.Val {
	name, ok := index.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(index)
	}
	f := o.typ.field(string(name))
	if f == nil {
		return types.NewErr("%s", o.typ.unknownField(string(name)))
	}
	return o.x.NativeToValue(f.get(o.ptr))
}

// IsSet is has(o.field) for objects of dynamic type.
func (o *object) IsSet(index ref.Val) ref.Val {
	name, ok := index.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(index)
	}
	f := o.typ.field(string(name))
	if f == nil {
		return types.NewErr("%s", o.typ.unknownField(string(name)))
	}
	return types.Bool(f.is(o.ptr))
}

func (s *structType) unknownField(name string) string {
	return fmt.Sprintf("%s has no field %q%s", s.cel.TypeName(), name, meant(name, s.names()))
}

// list is a list whose elements are made when they are looked at.
type list struct {
	x  *typeIndex
	n  int
	at func(i int) native
}

func (l *list) Type() ref.Type { return types.ListType }
func (l *list) Value() any     { return l }
func (l *list) Size() ref.Val  { return types.Int(l.n) }

// Fold lets macros walk the list without wrapping its elements.
func (l *list) Fold(f traits.Folder) {
	for i := range l.n {
		if !f.FoldEntry(i, l.at(i)) {
			return
		}
	}
}

func (l *list) Get(index ref.Val) ref.Val {
	at, ok := index.(types.Int)
	if !ok {
		return types.MaybeNoSuchOverloadErr(index)
	}
	i := int(at)
	if i < 0 || i >= l.n {
		return types.NewErr("index %d is outside a list of %d", i, l.n)
	}
	return l.x.NativeToValue(l.at(i))
}

// values is the list with all its elements made, for what is seldom asked.
func (l *list) values() traits.Lister {
	all := make([]ref.Val, l.n)
	for i := range all {
		all[i] = l.x.NativeToValue(l.at(i))
	}
	return types.NewRefValList(l.x, all)
}

func (l *list) Add(other ref.Val) ref.Val                   { return l.values().Add(other) }
func (l *list) Contains(v ref.Val) ref.Val                  { return l.values().Contains(v) }
func (l *list) Equal(other ref.Val) ref.Val                 { return l.values().Equal(other) }
func (l *list) ConvertToNative(t reflect.Type) (any, error) { return l.values().ConvertToNative(t) }
func (l *list) Iterator() traits.Iterator                   { return l.values().Iterator() }
func (l *list) ConvertToType(t ref.Type) ref.Val {
	if t == types.ListType {
		return l
	}
	return l.values().ConvertToType(t)
}

// dict is a map with keys of a string type. It is walked in the order of its keys.
type dict struct {
	x    *typeIndex
	v    reflect.Value
	read func(reflect.Value) native
}

func (d *dict) Type() ref.Type { return types.MapType }
func (d *dict) Value() any     { return d }
func (d *dict) Size() ref.Val  { return types.Int(d.v.Len()) }

// FindStringKey is what CEL calls for d.key and d["key"] where it can.
func (d *dict) FindStringKey(key string) (any, bool) {
	if m, ok := d.v.Interface().(map[string]string); ok {
		s, ok := m[key]
		return types.String(s), ok
	}
	v := d.v.MapIndex(reflect.ValueOf(key).Convert(d.v.Type().Key()))
	if !v.IsValid() {
		return nil, false
	}
	return d.read(v), true
}

func (d *dict) Find(key ref.Val) (ref.Val, bool) {
	s, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	v, ok := d.FindStringKey(string(s))
	if !ok {
		return nil, false
	}
	return d.x.NativeToValue(v), true
}

func (d *dict) Get(key ref.Val) ref.Val {
	v, ok := d.Find(key)
	if !ok {
		return types.NewErr("no such key: %v", key.Value())
	}
	return v
}

func (d *dict) Contains(key ref.Val) ref.Val {
	_, ok := d.Find(key)
	return types.Bool(ok)
}

func (d *dict) keys() []string {
	keys := make([]string, 0, d.v.Len())
	for it := d.v.MapRange(); it.Next(); { //det:ok the keys are sorted below
		keys = append(keys, it.Key().String())
	}
	slices.SortFunc(keys, strings.Compare)
	return keys
}

// Fold walks the map in the order of its keys.
func (d *dict) Fold(f traits.Folder) {
	for _, k := range d.keys() {
		v, _ := d.FindStringKey(k)
		if !f.FoldEntry(types.String(k), v) {
			return
		}
	}
}

// Iterator walks the keys in order.
func (d *dict) Iterator() traits.Iterator {
	return types.NewStringList(d.x, d.keys()).Iterator()
}

func (d *dict) Equal(other ref.Val) ref.Val {
	o, ok := other.(traits.Mapper)
	if !ok || o.Size() != d.Size() {
		return types.False
	}
	for _, k := range d.keys() {
		v, _ := d.Find(types.String(k))
		w, ok := o.Find(types.String(k))
		if !ok || types.Equal(v, w) != types.True {
			return types.False
		}
	}
	return types.True
}

func (d *dict) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a map cannot become a %v", t)
}

func (d *dict) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.MapType:
		return d
	case types.TypeType:
		return types.MapType
	}
	return types.NewErr("a map cannot become a %s", t.TypeName())
}
