package schedperf

import (
	"encoding/json"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// foldDepth is how deep fields are looked at; what lies deeper, the decoder refuses.
const foldDepth = 50

// foldKeys gives the fields of a node tree the capitals that a type has: upstream reads
// files without regard to them, and some of its own rely on that.
func foldKeys(n *yaml.Node, t reflect.Type, depth int) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n == nil || depth > foldDepth || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return
	}
	switch {
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, item := range n.Content {
			foldKeys(item, t.Elem(), depth+1)
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		for i := 1; i < len(n.Content); i += 2 {
			foldKeys(n.Content[i], t.Elem(), depth+1)
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if name, ft := fieldLike(t, n.Content[i].Value); ft != nil {
				n.Content[i].Value = name
				foldKeys(n.Content[i+1], ft, depth+1)
			}
		}
	}
}

// fieldLike finds the field of a struct's JSON form by its name, whatever the capitals.
func fieldLike(t reflect.Type, name string) (string, reflect.Type) {
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag != "" && tag != "-" && strings.EqualFold(tag, name) {
			return tag, f.Type
		}
	}
	return "", nil
}
