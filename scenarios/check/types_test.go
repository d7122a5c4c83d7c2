package check

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"seatrial.dev/seatrial/cluster/kinds"
)

// TestFieldsAreThoseOfJSON: an object of every kind with all its fields set reads
// in CEL as it does in JSON.
func TestFieldsAreThoseOfJSON(t *testing.T) {
	x := newTypeIndex()
	for _, i := range kinds.All() {
		o := i.New()
		fill(reflect.ValueOf(o).Elem(), 0)
		o.GetObjectKind().SetGroupVersionKind(i.GVK)
		text, err := json.Marshal(o)
		require.NoError(t, err)
		var want any
		require.NoError(t, json.Unmarshal(text, &want))
		same(t, i.GVK.Kind, x.NativeToValue(o), want)
	}
}

// depthFill is how deep objects are filled: types contain themselves.
const depthFill = 40

// fill sets every field.
func fill(v reflect.Value, depth int) {
	switch p := v.Addr().Interface().(type) {
	case *metav1.Time:
		p.Time = time.Unix(1_700_000_000, 0).UTC()
		return
	case *metav1.MicroTime:
		p.Time = time.Unix(1_700_000_000, 123_456_000).UTC()
		return
	case *resource.Quantity:
		*p = resource.MustParse("1500m")
		return
	case *intstr.IntOrString:
		*p = intstr.FromString("25%")
		return
	case *metav1.FieldsV1:
		p.Raw = []byte(`{"f:a": {"b": [1, 2.5, null, true, "x"]}}`)
		return
	case *runtime.RawExtension:
		p.Raw = []byte(`{"a": {"b": [1, 2.5, null, true, "x"]}}`)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), depth+1)
			}
		}
	case reflect.Pointer:
		if depth < depthFill {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), depth+1)
		}
	case reflect.Slice:
		if depth < depthFill {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			fill(v.Index(0), depth+1)
			fill(v.Index(1), depth+1)
		}
	case reflect.Uint8:
		v.SetUint('x')
	case reflect.Map:
		elem := reflect.New(v.Type().Elem()).Elem()
		fill(elem, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), elem)
	}
}

// same compares a value of CEL with what JSON has in its place.
func same(t *testing.T, at string, got ref.Val, want any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		for name, w := range want {
			var g ref.Val
			switch got := got.(type) {
			case *object:
				g = got.Get(types.String(name))
				require.Equal(t, types.True, got.IsSet(types.String(name)), "%s.%s is set", at, name)
			case traits.Mapper:
				g = got.Get(types.String(name))
			default:
				t.Fatalf("%s: got a %T for an object", at, got)
			}
			same(t, at+"."+name, g, w)
		}
		if o, ok := got.(*object); ok {
			for _, f := range o.typ.fields {
				if _, ok := want[f.name]; !ok && f.is(o.ptr) {
					t.Errorf("%s has a field %s that JSON does not have", at, f.name)
				}
			}
		}
	case []any:
		l, ok := got.(traits.Lister)
		require.True(t, ok, "%s: got %T for a list", at, got)
		require.Equal(t, types.Int(len(want)), l.Size(), at)
		for i, w := range want {
			same(t, fmt.Sprintf("%s[%d]", at, i), l.Get(types.Int(i)), w)
		}
	default:
		require.Equal(t, want, asJSON(got), at)
	}
}

func asJSON(v ref.Val) any {
	switch v := v.(type) {
	case types.Int:
		return float64(v)
	case types.Timestamp:
		if v.Nanosecond() != 0 {
			return v.Time.Format(metav1.RFC3339Micro)
		}
		return v.Time.Format(time.RFC3339)
	case types.Bytes:
		text, _ := json.Marshal([]byte(v))
		var s string
		_ = json.Unmarshal(text, &s)
		return s
	}
	if v == types.NullValue {
		return nil
	}
	return v.Value()
}

// TestUnsetFields: every field of an empty object can be read, down to where its
// types repeat, and is not set.
func TestUnsetFields(t *testing.T) {
	x := newTypeIndex()
	seen := map[*structType]bool{}
	var walk func(at string, v ref.Val)
	walk = func(at string, v ref.Val) {
		o, ok := v.(*object)
		if !ok || seen[o.typ] {
			return
		}
		seen[o.typ] = true
		for _, f := range o.typ.fields {
			if o.typ.kind == 0 || f.name != "apiVersion" && f.name != "kind" {
				require.False(t, f.is(o.ptr), "%s.%s is not set", at, f.name)
			}
			g := x.NativeToValue(f.get(o.ptr))
			require.False(t, types.IsError(g), "%s.%s", at, f.name)
			walk(at+"."+f.name, g)
		}
	}
	for _, i := range kinds.All() {
		walk(i.GVK.Kind, x.NativeToValue(i.New()))
	}
	require.Greater(t, len(seen), 150)
}
