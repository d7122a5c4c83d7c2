package check

import (
	"bytes"
	"encoding/json"
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

var (
	rawType    = reflect.TypeFor[runtime.RawExtension]()
	fieldsType = reflect.TypeFor[metav1.FieldsV1]()
)

// freeform reads fields that may hold any JSON, such as a ControllerRevision's
// data.
func (x *typeIndex) freeform(v reflect.Value) native {
	switch f := v.Interface().(type) {
	case runtime.RawExtension:
		if f.Raw == nil && f.Object != nil {
			if text, err := json.Marshal(f.Object); err == nil {
				return x.json(text)
			}
		}
		return x.json(f.Raw)
	case metav1.FieldsV1:
		return x.json(f.Raw)
	}
	return types.NullValue
}

func (x *typeIndex) json(text []byte) ref.Val {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return types.NullValue
	}
	return x.jsonValue(v)
}

func (x *typeIndex) jsonValue(v any) ref.Val {
	switch v := v.(type) {
	case nil:
		return types.NullValue
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return types.Int(n)
		}
		f, _ := v.Float64() // out of range is infinite
		return types.Double(f)
	case []any:
		return &list{x: x, n: len(v), at: func(i int) native { return x.jsonValue(v[i]) }}
	case map[string]any:
		return &dict{x: x, v: reflect.ValueOf(v), read: func(w reflect.Value) native { return x.jsonValue(w.Interface()) }}
	}
	return x.NativeToValue(v)
}
