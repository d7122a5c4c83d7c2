package openapi

import (
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// operations describes the paths of a resource: enough for kubectl to find the type
// behind a path, and to see that writes can be tried out and validated.
func (b *builder) operations(paths object, r *Resource) {
	base := "/apis/" + r.GVR.Group + "/" + r.GVR.Version
	if r.GVR.Group == "" {
		base = "/api/" + r.GVR.Version
	}
	if r.Namespaced {
		if has(r.Verbs, "list") {
			paths[base+"/"+r.GVR.Resource] = object{"get": b.operation(r, "list", "get", nil)}
		}
		base += "/namespaces/{namespace}"
	}
	all := base + "/" + r.GVR.Resource
	if many := b.pathItem(r, nil, r.Verbs, map[string]string{"list": "get", "create": "post", "deletecollection": "delete"}); len(many) > 0 {
		paths[all] = b.withNamespace(many, r.Namespaced)
	}
	one := b.pathItem(r, nil, r.Verbs, map[string]string{"get": "get", "update": "put", "patch": "patch", "delete": "delete"})
	if len(one) > 0 {
		paths[all+"/{name}"] = b.withNamespace(one, r.Namespaced, "name")
	}
	for i := range r.Subresources {
		s := &r.Subresources[i]
		item := b.pathItem(r, s, s.Verbs, map[string]string{"get": "get", "update": "put", "patch": "patch", "create": "post", "delete": "delete"})
		paths[all+"/{name}/"+s.Name] = b.withNamespace(item, r.Namespaced, "name")
	}
}

func has(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (b *builder) pathItem(r *Resource, s *Subresource, verbs []string, methods map[string]string) object {
	item := object{}
	for _, v := range verbs {
		if m := methods[v]; m != "" {
			item[m] = b.operation(r, v, m, s)
		}
	}
	return item
}

// withNamespace adds the parameters that stand in the path itself.
func (b *builder) withNamespace(item object, namespaced bool, names ...string) object {
	var params []object
	if namespaced {
		names = append(names, "namespace")
	}
	for _, n := range names {
		p := b.parameter("path", n, "string")
		p["required"] = true
		params = append(params, p)
	}
	if len(params) > 0 {
		item["parameters"] = params
	}
	return item
}

func (b *builder) parameter(in, name, typ string) object {
	p := object{"in": in, "name": name, "uniqueItems": true}
	if b.v3 {
		delete(p, "uniqueItems")
		p["schema"] = object{"type": typ, "uniqueItems": true}
	} else {
		p["type"] = typ
	}
	return p
}

var queryParameters = map[string][]string{
	"list":             {"allowWatchBookmarks:boolean", "continue:string", "fieldSelector:string", "labelSelector:string", "limit:integer", "resourceVersion:string", "resourceVersionMatch:string", "sendInitialEvents:boolean", "timeoutSeconds:integer", "watch:boolean"},
	"create":           {"dryRun:string", "fieldManager:string", "fieldValidation:string"},
	"update":           {"dryRun:string", "fieldManager:string", "fieldValidation:string"},
	"patch":            {"dryRun:string", "fieldManager:string", "fieldValidation:string", "force:boolean"},
	"delete":           {"dryRun:string", "gracePeriodSeconds:integer", "orphanDependents:boolean", "propagationPolicy:string"},
	"deletecollection": {"continue:string", "dryRun:string", "fieldSelector:string", "gracePeriodSeconds:integer", "labelSelector:string", "limit:integer", "propagationPolicy:string"},
}

func (b *builder) operation(r *Resource, verb, method string, s *Subresource) object {
	gvk, action := r.GVK, verb
	if s != nil {
		gvk = s.GVK
	}
	switch verb {
	case "create":
		action = "post"
	case "update":
		action = "put"
	}
	body := b.typeOf(gvk)
	answer := body
	switch {
	case verb == "list":
		if t := b.typeOf(r.GVK.GroupVersion().WithKind(r.GVK.Kind + "List")); t != nil {
			answer = t
		}
	case verb == "delete" || verb == "deletecollection":
		answer = reflect.TypeFor[metav1.Status]()
	}
	op := object{"x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvkObjects(gvk)[0],
		"operationId": verb + operationGroup(r) + r.GVK.Kind + subName(s) + method, "responses": b.responses(answer)}
	var params []object
	for _, q := range queryParameters[verb] {
		name, typ := splitColon(q)
		params = append(params, b.parameter("query", name, typ))
	}
	b.body(op, &params, verb, body)
	if len(params) > 0 {
		op["parameters"] = params
	}
	return op
}

func splitColon(s string) (string, string) {
	for i := range s {
		if s[i] == ':' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func subName(s *Subresource) string {
	if s == nil {
		return ""
	}
	return s.Name
}

func operationGroup(r *Resource) string { return r.GVR.Group + r.GVR.Version }

func (b *builder) responses(t reflect.Type) object {
	schema := b.ref(t)
	ok := object{"description": "OK"}
	if b.v3 {
		ok["content"] = object{"application/json": object{"schema": schema}, "application/yaml": object{"schema": schema}, "application/vnd.kubernetes.protobuf": object{"schema": schema}}
	} else {
		ok["schema"] = schema
	}
	return object{"200": ok, "401": object{"description": "Unauthorized"}}
}

// body says what is to be sent.
func (b *builder) body(op object, params *[]object, verb string, t reflect.Type) {
	var media []string
	switch verb {
	case "create", "update":
		media = []string{"*/*"}
	case "patch":
		t = reflect.TypeFor[metav1.Patch]()
		media = []string{string(types.JSONPatchType), string(types.MergePatchType), string(types.StrategicMergePatchType), string(types.ApplyYAMLPatchType)}
	case "delete", "deletecollection":
		t = reflect.TypeFor[metav1.DeleteOptions]()
		media = []string{"*/*"}
	default:
		return
	}
	if !b.v3 {
		op["consumes"] = media
		*params = append(*params, object{"in": "body", "name": "body", "required": true, "schema": b.ref(t)})
		return
	}
	content := object{}
	for _, m := range media {
		content[m] = object{"schema": b.ref(t)}
	}
	op["requestBody"] = object{"content": content}
}
