package apiserver

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The media types that objects come and go in.
const (
	mediaJSON  = "application/json"
	mediaYAML  = "application/yaml"
	mediaProto = "application/vnd.kubernetes.protobuf"
)

const mediaAll = mediaJSON + ", " + mediaYAML + ", " + mediaProto

// form is how an object is shown.
type form uint8

const (
	formWhole form = iota
	formTable
	formMeta      // PartialObjectMetadata
	formDiscovery // aggregated discovery
	formUnknownAs // some other "as": not acceptable
)

const (
	clausesMax     = 32   // media types read of one Accept header
	acceptBytesMax = 4096 // a longer Accept header is not acceptable
)

// output is how an answer is to be written.
type output struct {
	media  string
	form   form
	v1beta bool // of the Table or the metadata: meta.k8s.io/v1beta1
	stream bool // the client said stream=watch
	pretty bool
	gzip   bool
}

// clause is one media type that a client accepts.
type clause struct {
	output
	q float64
}

// negotiate reads the Accept headers. What cannot be had, or is one of the forms
// without, is a 406.
func (c *call) negotiate(without ...form) error {
	c.out = output{media: mediaJSON, gzip: acceptsGzip(c.r)}
	header := strings.Join(c.r.Header.Values("Accept"), ",")
	if p := c.r.URL.Query()["pretty"]; len(p) > 0 {
		c.out.pretty = p[0] != "0" && p[0] != "false"
	}
	if header == "" {
		return nil
	}
	if len(header) > acceptBytesMax {
		return notAcceptable()
	}
	clauses := parseAccept(header)
	for _, cl := range clauses {
		if cl.form == formUnknownAs || cl.media == "" || cl.form == formTable && cl.media == mediaProto || slices.Contains(without, cl.form) {
			continue
		}
		cl.pretty, cl.gzip = c.out.pretty, c.out.gzip
		c.out = cl.output
		return nil
	}
	if !strings.HasPrefix(c.r.URL.Path, "/api") {
		return nil // plain text and documents choose for themselves
	}
	return notAcceptable()
}

func notAcceptable() error {
	err := apierrors.NewGenericServerResponse(http.StatusNotAcceptable, "", schema.GroupResource{}, "", "", 0, false)
	err.ErrStatus.Reason = "NotAcceptable"
	err.ErrStatus.Message = "only the following media types are accepted: " + mediaAll
	err.ErrStatus.Details = nil
	return err
}

// parseAccept lists what a client accepts, what it likes best first.
func parseAccept(header string) []clause {
	var list []clause
	for _, part := range strings.Split(header, ",") {
		if len(list) == clausesMax {
			break
		}
		media, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil {
			continue
		}
		cl := clause{q: 1}
		switch media {
		case mediaJSON, "*/*", "application/*":
			cl.media = mediaJSON
		case mediaYAML:
			cl.media = mediaYAML
		case mediaProto:
			cl.media = mediaProto
		}
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil {
			cl.q = q
		}
		cl.stream = params["stream"] == "watch"
		cl.form = formOf(params)
		cl.v1beta = params["v"] == "v1beta1"
		list = append(list, cl)
	}
	slices.SortStableFunc(list, func(a, b clause) int {
		switch {
		case a.q > b.q:
			return -1
		case a.q < b.q:
			return 1
		}
		return 0
	})
	return list
}

func formOf(params map[string]string) form {
	as := params["as"]
	if as == "" {
		return formWhole
	}
	meta := params["g"] == "meta.k8s.io" && (params["v"] == "v1" || params["v"] == "v1beta1")
	switch {
	case as == "Table" && meta:
		return formTable
	case (as == "PartialObjectMetadata" || as == "PartialObjectMetadataList") && meta:
		return formMeta
	case as == "APIGroupDiscoveryList" && params["g"] == "apidiscovery.k8s.io" && params["v"] == "v2":
		return formDiscovery
	}
	return formUnknownAs
}

func acceptsGzip(r *http.Request) bool {
	for _, part := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" {
			return strings.ReplaceAll(q, " ", "") != "q=0"
		}
	}
	return false
}
