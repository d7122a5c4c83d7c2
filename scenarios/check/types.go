package check

import (
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/traits"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"seatrial.dev/seatrial/cluster/kinds"
)

// A native is what a field's getter returns: a value of CEL, or a pointer to a
// struct, which stands for an object without the cost of wrapping it. The adapter
// (provider.go) wraps those that CEL comes to hold.
type native = any

// structType is what CEL knows of one struct type of k8s.io/api.
type structType struct {
	cel     *types.Type
	ptrType reflect.Type
	fields  []*field // by name
	zero    native   // pointer to an empty value, for nil pointers; never written to
	kind    kinds.Kind
}

// field is one field by its JSON name.
type field struct {
	name string
	cel  *types.Type
	is   func(native) bool   // set: not the zero value
	get  func(native) native // of a pointer to the struct
}

// typeIndex knows the struct types that have been asked for so far.
type typeIndex struct {
	byGo   map[reflect.Type]*structType
	byName map[string]*structType
}

func newTypeIndex() *typeIndex {
	return &typeIndex{byGo: map[reflect.Type]*structType{}, byName: map[string]*structType{}}
}

func (s *structType) field(name string) *field {
	i, ok := slices.BinarySearchFunc(s.fields, name, func(f *field, name string) int { return strings.Compare(f.name, name) })
	if !ok {
		return nil
	}
	return s.fields[i]
}

func (s *structType) names() []string {
	names := make([]string, len(s.fields))
	for i, f := range s.fields {
		names[i] = f.name
	}
	return names
}

// object is the type of the objects of a kind.
func (x *typeIndex) object(k kinds.Kind) *structType {
	return x.of(reflect.TypeOf(k.Info().New()).Elem())
}

// of finds or makes the type of a Go struct. The type is entered before its
// fields are looked at, for types may contain themselves.
func (x *typeIndex) of(t reflect.Type) *structType {
	if s, ok := x.byGo[t]; ok {
		return s
	}
	s := &structType{cel: types.NewObjectType(typeName(t), traits.FieldTesterType|traits.IndexerType), ptrType: reflect.PointerTo(t), zero: reflect.New(t).Interface()}
	x.byGo[t], x.byName[s.cel.TypeName()] = s, s
	x.addFields(s, t, nil)
	if o, ok := s.zero.(kinds.Object); ok && s.field("metadata") != nil {
		s.kind = kinds.Of(o)
		x.nameType(s)
	}
	slices.SortFunc(s.fields, func(a, b *field) int { return strings.Compare(a.name, b.name) })
	return s
}

// typeName is the last two parts of the package's path and the type's name:
// core.v1.Pod.
func typeName(t reflect.Type) string {
	parts := strings.Split(t.PkgPath(), "/")
	parts = parts[max(0, len(parts)-2):]
	return strings.Join(append(parts, t.Name()), ".")
}

// addFields adds the fields of a struct found at a path of embedded structs.
func (x *typeIndex) addFields(s *structType, t reflect.Type, path []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		at := append(slices.Clip(path), i)
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			x.addFields(s, f.Type, at)
		case !f.IsExported() || name == "-" || name == "":
		default:
			s.add(x.fieldAt(name, at, f.Type))
		}
	}
}

// add keeps the field that is nearer to the struct itself, as encoding/json does.
func (s *structType) add(f *field) {
	if !slices.ContainsFunc(s.fields, func(g *field) bool { return g.name == f.name }) {
		s.fields = append(s.fields, f)
	}
}

// nameType makes apiVersion and kind those of the table: stored objects do not
// carry them.
func (x *typeIndex) nameType(s *structType) {
	gvk := s.kind.Info().GVK
	for name, value := range map[string]string{"apiVersion": gvk.GroupVersion().String(), "kind": gvk.Kind} { //det:ok each goes to its own field
		if f := s.field(name); f != nil {
			v := native(types.String(value))
			f.is = func(native) bool { return true }
			f.get = func(native) native { return v }
		}
	}
}

func (x *typeIndex) fieldAt(name string, path []int, t reflect.Type) *field {
	cel, convert := x.convert(t)
	at := func(n native) reflect.Value {
		v := reflect.ValueOf(n).Elem()
		for _, i := range path {
			v = v.Field(i)
		}
		return v
	}
	return &field{
		name: name,
		cel:  cel,
		get:  func(n native) native { return convert(at(n)) },
		is:   func(n native) bool { return isSet(at(n)) },
	}
}

// isSet says whether a field would stand in the object's YAML.
func isSet(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() > 0
	}
	return !v.IsZero()
}

// The types whose JSON is not that of their Go shape.
var (
	timeType      = reflect.TypeFor[metav1.Time]()
	microTimeType = reflect.TypeFor[metav1.MicroTime]()
	durationType  = reflect.TypeFor[metav1.Duration]()
	quantityType  = reflect.TypeFor[resource.Quantity]()
	intStrType    = reflect.TypeFor[intstr.IntOrString]()
)

// convert is the CEL type of a Go type and the way from an addressable Go value
// to CEL's.
func (x *typeIndex) convert(t reflect.Type) (*types.Type, func(reflect.Value) native) {
	switch t {
	case timeType:
		return types.TimestampType, func(v reflect.Value) native { return types.Timestamp{Time: v.Interface().(metav1.Time).Time} }
	case microTimeType:
		return types.TimestampType, func(v reflect.Value) native { return types.Timestamp{Time: v.Interface().(metav1.MicroTime).Time} }
	case durationType:
		return types.StringType, func(v reflect.Value) native {
			return types.String(v.Interface().(metav1.Duration).Duration.String())
		}
	case quantityType:
		return types.StringType, func(v reflect.Value) native {
			q := v.Interface().(resource.Quantity) // a copy: String writes to what it is called on
			return types.String(q.String())
		}
	case intStrType:
		return types.DynType, func(v reflect.Value) native { return intOrString(v.Interface().(intstr.IntOrString)) }
	}
	if t == rawType || t == fieldsType {
		return types.DynType, x.freeform
	}
	switch t.Kind() {
	case reflect.String:
		return types.StringType, func(v reflect.Value) native { return types.String(v.String()) }
	case reflect.Bool:
		return types.BoolType, func(v reflect.Value) native { return types.Bool(v.Bool()) }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return types.IntType, func(v reflect.Value) native { return types.Int(v.Int()) }
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return types.UintType, func(v reflect.Value) native { return types.Uint(v.Uint()) }
	case reflect.Float32, reflect.Float64:
		return types.DoubleType, func(v reflect.Value) native { return types.Double(v.Float()) }
	case reflect.Pointer:
		return x.convertPointer(t.Elem())
	case reflect.Struct:
		s := x.of(t)
		return s.cel, func(v reflect.Value) native { return v.Addr().Interface() }
	case reflect.Slice:
		return x.convertSlice(t)
	case reflect.Map:
		return x.convertMap(t)
	}
	return types.DynType, func(reflect.Value) native { return types.NullValue }
}

func intOrString(v intstr.IntOrString) native {
	if v.Type == intstr.Int {
		return types.Int(v.IntVal)
	}
	return types.String(v.StrVal)
}

// convertPointer reads through a pointer; nil gives the zero value of what it
// points to.
func (x *typeIndex) convertPointer(t reflect.Type) (*types.Type, func(reflect.Value) native) {
	cel, convert := x.convert(t)
	zero := reflect.New(t).Elem()
	return cel, func(v reflect.Value) native {
		if v.IsNil() {
			return convert(zero)
		}
		return convert(v.Elem())
	}
}

func (x *typeIndex) convertSlice(t reflect.Type) (*types.Type, func(reflect.Value) native) {
	if t.Elem().Kind() == reflect.Uint8 {
		return types.BytesType, func(v reflect.Value) native { return types.Bytes(v.Bytes()) }
	}
	cel, convert := x.convert(t.Elem())
	return types.NewListType(cel), func(v reflect.Value) native {
		return &list{x: x, n: v.Len(), at: func(i int) native { return convert(v.Index(i)) }}
	}
}

// convertMap wraps a map. Values of a map have no address, so that structs are
// copied when they are read.
func (x *typeIndex) convertMap(t reflect.Type) (*types.Type, func(reflect.Value) native) {
	cel, convert := x.convert(t.Elem())
	read := convert
	if t.Elem().Kind() == reflect.Struct {
		read = func(v reflect.Value) native {
			p := reflect.New(v.Type()).Elem()
			p.Set(v)
			return convert(p)
		}
	}
	return types.NewMapType(types.StringType, cel), func(v reflect.Value) native { return &dict{x: x, v: v, read: read} }
}
