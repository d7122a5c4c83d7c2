package openapi

import (
	"encoding/json"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	smdschema "sigs.k8s.io/structured-merge-diff/v6/schema"
)

// Source is the API to be described.
type Source struct {
	Version   string                                       // of the release: "v1.37.2"
	Resources []Resource                                   // in the order of discovery
	New       func(schema.GroupVersionKind) runtime.Object // an empty object of a type; nil for an unknown one
	Merging   map[string]*smdschema.TypeDef                // how server-side apply treats types, by model name
}

// Resource is one row of the paths.
type Resource struct {
	GVR          schema.GroupVersionResource
	GVK          schema.GroupVersionKind
	Namespaced   bool
	Verbs        []string
	Subresources []Subresource
}

// Subresource is a path below an object.
type Subresource struct {
	Name  string
	GVK   schema.GroupVersionKind // of its body
	Verbs []string
}

// V3 is the document of one group and version.
func V3(s Source, gv schema.GroupVersion) ([]byte, error) {
	b, paths := newBuilder(s, true), object{}
	for i := range s.Resources {
		if r := &s.Resources[i]; r.GVR.GroupVersion() == gv {
			b.operations(paths, r)
		}
	}
	return json.Marshal(object{"openapi": "3.0.0", "info": s.info(), "paths": paths, "components": object{"schemas": b.defs}})
}

// V2 is the document of the whole API.
func V2(s Source) ([]byte, error) {
	b, paths := newBuilder(s, false), object{}
	for i := range s.Resources {
		b.operations(paths, &s.Resources[i])
	}
	return json.Marshal(object{"swagger": "2.0", "info": s.info(), "paths": paths, "definitions": b.defs})
}

func (s Source) info() object { return object{"title": "Kubernetes", "version": s.Version} }

func newBuilder(s Source, v3 bool) *builder {
	b := &builder{v3: v3, defs: map[string]any{}, gvks: map[reflect.Type][]schema.GroupVersionKind{}, merging: s.Merging, new: s.New}
	for i := range s.Resources {
		r := &s.Resources[i]
		b.name(r.GVK)
		b.name(r.GVK.GroupVersion().WithKind(r.GVK.Kind + "List"))
		for _, sub := range r.Subresources {
			b.name(sub.GVK)
		}
	}
	b.gvks[reflect.TypeFor[metav1.Status]()] = []schema.GroupVersionKind{{Version: "v1", Kind: "Status"}}
	b.gvks[reflect.TypeFor[metav1.DeleteOptions]()] = []schema.GroupVersionKind{{Version: "v1", Kind: "DeleteOptions"}}
	return b
}

// typeOf is the Go type behind a name; nil for an unknown one.
func (b *builder) typeOf(gvk schema.GroupVersionKind) reflect.Type {
	if o := b.new(gvk); o != nil {
		return reflect.TypeOf(o).Elem()
	}
	return nil
}

// name notes that a Go type is called so in the API.
func (b *builder) name(gvk schema.GroupVersionKind) {
	if t := b.typeOf(gvk); t != nil && !slices.Contains(b.gvks[t], gvk) {
		b.gvks[t] = append(b.gvks[t], gvk)
	}
}
