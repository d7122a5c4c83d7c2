package kinds

import (
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// LongList finds a list with more than most items in an object: where it is, and its
// length; nil if there is none. Some of what is asked of lists costs the square of their
// length, and no list that people write is nearly so long.
func LongList(o Object, most int) (*field.Path, int) {
	return longList(reflect.ValueOf(o).Elem(), nil, most)
}

func longList(v reflect.Value, at *field.Path, most int) (*field.Path, int) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return longList(v.Elem(), at, most)
		}
	case reflect.Struct:
		t := v.Type()
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() || isPlain(f.Type) {
				continue
			}
			here := at
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				here = child(at, name)
			}
			if found, n := longList(v.Field(i), here, most); found != nil {
				return found, n
			}
		}
	case reflect.Slice:
		if v.Len() > most {
			return at, v.Len()
		}
		if isPlain(v.Type().Elem()) {
			return nil, 0
		}
		for i := range v.Len() {
			if found, n := longList(v.Index(i), at.Index(i), most); found != nil {
				return found, n
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() { //det:ok any one that is too long will do
			if found, n := longList(v.MapIndex(key), at.Key(key.String()), most); found != nil {
				return found, n
			}
		}
	}
	return nil, 0
}

func child(at *field.Path, name string) *field.Path {
	if at == nil {
		return field.NewPath(name)
	}
	return at.Child(name)
}

// isPlain says of a type that no list is in it.
func isPlain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice:
		return t.Elem().Kind() == reflect.Uint8
	case reflect.Pointer, reflect.Map:
		return isPlain(t.Elem())
	case reflect.Struct, reflect.Interface:
		return false
	}
	return true
}
