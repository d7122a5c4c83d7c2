package apiserver

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/kinds"
)

// call is one HTTP request on its way through the server.
type call struct {
	s    *Server
	w    http.ResponseWriter
	r    *http.Request
	conn *http.ResponseController
	user auth.User
	// sender is whose credentials the request carries, where that is not the user.
	sender *auth.User
	now    time.Time // of the cluster, at the latest do
	query  url.Values
	out    output // how the answer is to be written

	// What the path says; res is nil for a path that is no resource.
	res       *resource
	sub       string
	namespace string
	name      string
	verb      string
	rest      string // of a proxy path, after the subresource

	attributes *auth.Attributes // what was decided about
	decision   string           // allow or forbid; "" before there was one
	reason     string           // of it, or why the sender is not known
	started    bool             // the answer has begun
	code       int              // HTTP status of the answer
	message    string           // of a refusal or a failure
}

// resolve reads the path: /api/v1/... and /apis/GROUP/VERSION/..., with
// namespaces/NS before a namespaced resource and "watch" as a prefix for old
// clients.
func (c *call) resolve() error {
	c.query = c.r.URL.Query()
	c.verb = strings.ToLower(c.r.Method)
	parts := strings.Split(strings.Trim(c.r.URL.Path, "/"), "/")
	var gv schema.GroupVersion
	switch {
	case len(parts) > 2 && parts[0] == "api":
		gv, parts = schema.GroupVersion{Version: parts[1]}, parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		gv, parts = schema.GroupVersion{Group: parts[1], Version: parts[2]}, parts[3:]
	default:
		return nil // discovery, health and the like
	}
	watch := parts[0] == "watch" && len(parts) > 1
	if watch {
		parts = parts[1:]
	}
	if parts[0] == "namespaces" && len(parts) > 2 && !slices.Contains([]string{"status", "finalize"}, parts[2]) {
		c.namespace, parts = parts[1], parts[2:]
	}
	c.res = c.s.resources.byGVR[gv.WithResource(parts[0])]
	if c.res == nil || c.namespace != "" && !c.res.namespaced {
		c.res = nil
		return notFoundPath()
	}
	if len(parts) > 1 {
		c.name = parts[1]
	}
	if len(parts) > 2 {
		c.sub, c.rest = parts[2], strings.Join(parts[3:], "/")
	}
	if c.res.kind == kinds.Namespace && c.name != "" {
		c.namespace = c.name // as Kubernetes' authorizers see it
	}
	return c.findVerb(watch, len(parts))
}

// findVerb turns the HTTP method into the API's verb, and refuses what the
// resource cannot do.
func (c *call) findVerb(watch bool, depth int) error {
	if strings.HasSuffix(c.r.URL.Path, "/") && depth > 1 && c.name == "" || len(c.name) > maxNameBytes {
		return notFoundPath()
	}
	one := c.name != ""
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		c.verb = "get"
		if w := c.query.Get("watch"); c.sub == "" && (watch || w == "true" || w == "1") {
			c.verb = "watch"
		} else if !one {
			c.verb = "list"
		}
	case http.MethodPost:
		c.verb = "create"
	case http.MethodPut:
		c.verb = "update"
	case http.MethodPatch:
		c.verb = "patch"
	case http.MethodDelete:
		c.verb = "delete"
		if !one {
			c.verb = "deletecollection"
		}
	case http.MethodOptions: // as in Kubernetes no verb, so that only a rule for all of them allows it
		if c.sub != "proxy" {
			return c.methodNotAllowed()
		}
		c.verb = ""
	default:
		return c.methodNotAllowed()
	}
	verbs := c.res.verbs
	if c.sub != "" {
		sub := c.res.subs[c.sub]
		if sub == nil || c.rest != "" && c.sub != "proxy" {
			return notFoundPath()
		}
		verbs = sub.verbs
	} else if one && c.verb == "create" || !one && (c.verb == "update" || c.verb == "patch") {
		return c.methodNotAllowed()
	}
	if c.verb != "" && !slices.Contains(verbs, c.verb) {
		return c.methodNotAllowed()
	}
	return c.placed()
}

// maxNameBytes is the length of the longest name in a path.
const maxNameBytes = 253

// placed checks that a request about objects of a namespace names it, where it
// must.
func (c *call) placed() error {
	if c.res.namespaced && c.namespace == "" && (c.name != "" && c.verb != "watch" || c.verb == "create" && c.res.create == nil || c.verb == "deletecollection") {
		if c.name != "" {
			return notFoundPath()
		}
		return c.methodNotAllowed()
	}
	return nil
}

func (c *call) methodNotAllowed() error {
	gr := schema.GroupResource{}
	if c.res != nil {
		gr = c.res.gvr.GroupResource()
	}
	err := apierrors.NewMethodNotSupported(gr, c.verb)
	err.ErrStatus.Message = "the server does not allow this method on the requested resource"
	return err
}

func notFoundPath() error {
	err := apierrors.NewGenericServerResponse(http.StatusNotFound, "", schema.GroupResource{}, "", "", 0, false)
	err.ErrStatus.Message = "the server could not find the requested resource"
	err.ErrStatus.Details = nil
	return err
}

// ref is the stored object that the path names.
func (c *call) ref() kinds.Ref {
	ref := kinds.Ref{Kind: c.res.kind, Key: kinds.Key{Name: c.name}}
	if c.res.namespaced {
		ref.Namespace = c.namespace
	}
	return ref
}

// isLong says whether an answer may take as long as the client likes.
func (c *call) isLong() bool {
	if c.res == nil {
		return c.s.cfg.Paths[c.r.URL.Path] != nil
	}
	if sub := c.res.subs[c.sub]; sub != nil && sub.connect {
		return true
	}
	return c.verb == "watch" || c.sub == "log" && c.query.Get("follow") == "true"
}

// route carries a request out.
func (c *call) route() error {
	switch {
	case c.res == nil:
		if h := c.s.cfg.Paths[c.r.URL.Path]; h != nil {
			c.pass(h)
			return nil
		}
		return c.plainPath()
	case c.sub != "":
		return c.subresource()
	case c.res.create != nil:
		return c.createVirtual(c.res.create)
	case c.res.kind == 0:
		return c.bind()
	}
	if c.res.warning != "" {
		c.warn(c.res.warning)
	}
	switch c.verb {
	case "get":
		return c.get()
	case "list":
		return c.list()
	case "watch":
		return c.watch()
	case "create":
		return c.create()
	case "update":
		return c.update()
	case "patch":
		return c.patch()
	case "delete":
		return c.delete()
	case "deletecollection":
		return c.deleteCollection()
	}
	return c.methodNotAllowed()
}

// warn adds a Warning header (RFC 7234, code 299), as kubectl shows it.
func (c *call) warn(text string) {
	if c.started || text == "" {
		return
	}
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(clean) + `"`
	value := fmt.Sprintf("299 - %s", quoted)
	if !slices.Contains(c.w.Header()["Warning"], value) && len(c.w.Header()["Warning"]) < warningsMax {
		c.w.Header().Add("Warning", value)
	}
}

// warningsMax is how many Warning headers one answer carries.
const warningsMax = 50
