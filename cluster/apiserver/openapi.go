package apiserver

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	openapiv2 "github.com/google/gnostic-models/openapiv2"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	smdschema "sigs.k8s.io/structured-merge-diff/v6/schema"

	"seatrial.dev/seatrial/cluster/apiserver/openapi"
	"seatrial.dev/seatrial/cluster/kinds"
)

// documents are the descriptions of the API, made when first asked for.
type documents struct {
	v2      onceBytes
	v2proto onceBytes
	v3mu    sync.Mutex
	v3      map[string][]byte // by path: "api/v1", "apis/apps/v1"
}

type onceBytes struct {
	once sync.Once
	data []byte
	err  error
}

func (o *onceBytes) get(make func() ([]byte, error)) ([]byte, error) {
	o.once.Do(func() { o.data, o.err = make() })
	return o.data, o.err
}

const protoV2 = "application/com.github.proto-openapi.spec.v2"

// openAPIV2 answers with all of the API in one document.
func (c *call) openAPIV2() error {
	media := mediaJSON
	doc, err := c.s.docs.v2.get(c.s.buildV2)
	if err == nil && strings.Contains(c.r.Header.Get("Accept"), protoV2) {
		media = protoV2 + ".v1.0+protobuf"
		doc, err = c.s.docs.v2proto.get(func() ([]byte, error) {
			parsed, err := openapiv2.ParseDocument(c.s.docs.v2.data)
			if err != nil {
				return nil, err
			}
			return proto.Marshal(parsed)
		})
	}
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	if !c.notModified(doc) {
		c.send(http.StatusOK, media, doc)
	}
	return nil
}

// openAPIV3Index lists the documents, one for each group and version, with a hash
// of each so that clients can keep them.
func (c *call) openAPIV3Index() error {
	paths := map[string]any{}
	for _, g := range c.s.resources.groups {
		for _, v := range g.versions {
			path := documentPath(v.gv)
			doc, err := c.s.documentV3(path)
			if err != nil {
				return apierrors.NewInternalError(err)
			}
			paths[path] = map[string]any{"serverRelativeURL": "/openapi/v3/" + path + "?hash=" + url.QueryEscape(strings.Trim(etag(doc), `"`))}
		}
	}
	b, err := json.Marshal(map[string]any{"paths": paths})
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	if !c.notModified(b) {
		c.send(http.StatusOK, mediaJSON, b)
	}
	return nil
}

func documentPath(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "api/" + gv.Version
	}
	return "apis/" + gv.String()
}

// documentYears is for how long a client may keep a document that it asked for by
// its hash.
const documentYears = 1

func (c *call) openAPIV3(path string) error {
	doc, err := c.s.documentV3(path)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	if doc == nil {
		return notFoundPath()
	}
	hash := strings.Trim(etag(doc), `"`)
	if given := c.query.Get("hash"); given != "" {
		if given != hash {
			c.w.Header().Set("Location", "/openapi/v3/"+path+"?hash="+hash)
			c.started, c.code = true, http.StatusMovedPermanently
			c.w.WriteHeader(http.StatusMovedPermanently)
			return nil
		}
		c.w.Header().Set("Expires", time.Now().UTC().AddDate(documentYears, 0, 0).Format(http.TimeFormat))
	}
	if !c.notModified(doc) {
		c.send(http.StatusOK, mediaJSON, doc)
	}
	return nil
}

// documentV3 is the document of one group and version; nil if there is none.
func (s *Server) documentV3(path string) ([]byte, error) {
	s.docs.v3mu.Lock()
	defer s.docs.v3mu.Unlock()
	if doc, ok := s.docs.v3[path]; ok {
		return doc, nil
	}
	for _, g := range s.resources.groups {
		for _, v := range g.versions {
			if documentPath(v.gv) != path {
				continue
			}
			doc, err := s.buildV3(v)
			if err != nil {
				return nil, err
			}
			if s.docs.v3 == nil {
				s.docs.v3 = map[string][]byte{}
			}
			s.docs.v3[path] = doc
			return doc, nil
		}
	}
	return nil, nil
}

func (s *Server) buildV3(v groupVersion) ([]byte, error) { return openapi.V3(s.source(), v.gv) }

func (s *Server) buildV2() ([]byte, error) { return openapi.V2(s.source()) }

// source is the API as it is to be described.
func (s *Server) source() openapi.Source {
	src := openapi.Source{Version: s.version().GitVersion, Merging: s.owners.typeDefs(), New: func(gvk schema.GroupVersionKind) runtime.Object {
		o, err := apiScheme.New(gvk)
		if err != nil {
			return nil
		}
		return o
	}}
	for _, g := range s.resources.groups {
		for _, v := range g.versions {
			for _, r := range v.rows {
				row := openapi.Resource{GVR: r.gvr, GVK: r.gvk, Namespaced: r.namespaced, Verbs: r.verbs}
				for _, sub := range r.sortedSubs() {
					row.Subresources = append(row.Subresources, openapi.Subresource{Name: sub.name, GVK: sub.gvk, Verbs: sub.verbs})
				}
				src.Resources = append(src.Resources, row)
			}
		}
	}
	return src
}

// typeDefs is what server-side apply knows of the types, by model name.
func (w *owners) typeDefs() map[string]*smdschema.TypeDef {
	typed, err := w.types.ObjectToTyped(kinds.WithType(&corev1.Namespace{}))
	if err != nil {
		panic(err) // a type of client-go's own
	}
	types := typed.Schema().Types
	defs := make(map[string]*smdschema.TypeDef, len(types))
	for i := range types {
		defs[types[i].Name] = &types[i]
	}
	return defs
}
