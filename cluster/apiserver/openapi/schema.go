package openapi

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	smdschema "sigs.k8s.io/structured-merge-diff/v6/schema"
)

// builder describes Go types as OpenAPI schemas, by reflection: the words come
// from SwaggerDoc, names from OpenAPIModelName, the merging of lists from the patch
// tags and from the schema of server-side apply. The documents of the two OpenAPI
// versions differ in how a schema refers to another.
type builder struct {
	v3      bool
	defs    map[string]any // by model name
	gvks    map[reflect.Type][]schema.GroupVersionKind
	merging map[string]*smdschema.TypeDef // by model name
	new     func(schema.GroupVersionKind) runtime.Object
}

// fields of the JSON form of a schema.
type object = map[string]any

type (
	modelNamer interface{ OpenAPIModelName() string }
	documented interface{ SwaggerDoc() map[string]string }
	scalarType interface {
		OpenAPISchemaType() []string
		OpenAPISchemaFormat() string
	}
	oneOfTypes interface{ OpenAPIV3OneOfTypes() []string }
)

var jsonMarshaler = reflect.TypeFor[json.Marshaler]()

// ref is a reference to the definition of a named type, which it makes.
func (b *builder) ref(t reflect.Type) object {
	name := b.define(t)
	if b.v3 {
		return object{"$ref": "#/components/schemas/" + name}
	}
	return object{"$ref": "#/definitions/" + name}
}

func modelName(t reflect.Type) string {
	if n, ok := reflect.Zero(t).Interface().(modelNamer); ok {
		return n.OpenAPIModelName()
	}
	return strings.NewReplacer("/", ".", "-", "_").Replace(t.PkgPath()) + "." + t.Name()
}

func (b *builder) define(t reflect.Type) string {
	name := modelName(t)
	if _, ok := b.defs[name]; ok {
		return name
	}
	b.defs[name] = nil // for a type that contains itself
	def := b.definition(t, name)
	if doc, ok := reflect.Zero(t).Interface().(documented); ok {
		if text := doc.SwaggerDoc()[""]; text != "" {
			def["description"] = text
		}
	}
	if list := b.gvks[t]; len(list) > 0 {
		def["x-kubernetes-group-version-kind"] = gvkObjects(list...)
	}
	b.defs[name] = def
	return name
}

func gvkObjects(list ...schema.GroupVersionKind) []object {
	out := make([]object, len(list))
	for i, g := range list {
		out[i] = object{"group": g.Group, "version": g.Version, "kind": g.Kind}
	}
	return out
}

func (b *builder) definition(t reflect.Type, name string) object {
	zero := reflect.Zero(t).Interface()
	if s, ok := zero.(scalarType); ok {
		def := object{"type": s.OpenAPISchemaType()[0]}
		if f := s.OpenAPISchemaFormat(); f != "" {
			def["format"] = f
		}
		if o, ok := zero.(oneOfTypes); ok && b.v3 {
			delete(def, "type")
			var list []object
			for _, typ := range o.OpenAPIV3OneOfTypes() {
				list = append(list, object{"type": typ})
			}
			def["oneOf"] = list
		}
		return def
	}
	if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(jsonMarshaler) {
		return object{"type": "object"}
	}
	def, props := object{"type": "object"}, object{}
	var required []string
	merge := b.merging[name]
	b.fields(t, props, &required, merge)
	if len(props) > 0 {
		def["properties"] = props
	}
	if len(required) > 0 {
		slices.Sort(required)
		def["required"] = required
	}
	if merge != nil && merge.Map != nil && merge.Map.ElementRelationship == smdschema.Atomic {
		def["x-kubernetes-map-type"] = "atomic"
	}
	return def
}

// fields adds the properties of a struct; embedded structs count as if written in
// place.
func (b *builder) fields(t reflect.Type, props object, required *[]string, merge *smdschema.TypeDef) {
	var doc map[string]string
	if d, ok := reflect.Zero(t).Interface().(documented); ok {
		doc = d.SwaggerDoc()
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" && f.Anonymous {
			b.fields(f.Type, props, required, merge)
			continue
		}
		if name == "" {
			name = f.Name
		}
		p := b.value(f.Type)
		if text := doc[name]; text != "" {
			p["description"] = text
		}
		patchTags(p, f.Tag)
		if merge != nil {
			listTags(p, merge, name)
		}
		props[name] = p
		optional := strings.Contains(opts, "omitempty") || strings.Contains(opts, "omitzero")
		if !optional && name != "status" && name != "metadata" {
			*required = append(*required, name)
		}
	}
}

// patchTags tells how a strategic merge patch treats a field.
func patchTags(p object, tag reflect.StructTag) {
	if s := tag.Get("patchStrategy"); s != "" {
		p["x-kubernetes-patch-strategy"] = s
	}
	if k := tag.Get("patchMergeKey"); k != "" {
		p["x-kubernetes-patch-merge-key"] = k
	}
}

// listTags tells how server-side apply treats a field.
func listTags(p object, merge *smdschema.TypeDef, name string) {
	if merge.Map == nil {
		return
	}
	f, ok := merge.Map.FindField(name)
	if !ok {
		return
	}
	if l := f.Type.Inlined.List; l != nil && p["type"] == "array" {
		switch {
		case l.ElementRelationship == smdschema.Atomic:
			p["x-kubernetes-list-type"] = "atomic"
		case l.ElementRelationship == smdschema.Associative && len(l.Keys) > 0:
			p["x-kubernetes-list-type"], p["x-kubernetes-list-map-keys"] = "map", l.Keys
		case l.ElementRelationship == smdschema.Associative:
			p["x-kubernetes-list-type"] = "set"
		}
	}
	if m := f.Type.Inlined.Map; m != nil && m.ElementRelationship == smdschema.Atomic {
		p["x-kubernetes-map-type"] = "atomic"
	}
}

// value is the schema of a field's type. The map is the caller's to add to.
func (b *builder) value(t reflect.Type) object {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Int32, reflect.Uint16, reflect.Int16, reflect.Uint8, reflect.Int8:
		return object{"type": "integer", "format": "int32"}
	case reflect.Int, reflect.Int64, reflect.Uint32, reflect.Uint64, reflect.Uint:
		return object{"type": "integer", "format": "int64"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number", "format": "double"}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "format": "byte"}
		}
		return object{"type": "array", "items": b.element(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": b.element(t.Elem())}
	case reflect.Struct:
		if b.v3 { // beside a $ref nothing counts
			return object{"allOf": []object{b.ref(t)}}
		}
		return b.ref(t)
	}
	return object{}
}

// element is the schema of what a list or a map holds.
func (b *builder) element(t reflect.Type) object {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct {
		return b.ref(t)
	}
	return b.value(t)
}
