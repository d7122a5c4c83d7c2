package apiserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	serializerjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/cluster/kinds"
)

// The serializers are without state.
var (
	protoSerializer = protobuf.NewSerializer(apiScheme, apiScheme)
	jsonStrict      = serializerjson.NewSerializerWithOptions(serializerjson.DefaultMetaFactory, apiScheme, apiScheme, serializerjson.SerializerOptions{Strict: true})
	jsonLenient     = serializerjson.NewSerializerWithOptions(serializerjson.DefaultMetaFactory, apiScheme, apiScheme, serializerjson.SerializerOptions{})
)

// encode writes an object that has its apiVersion and kind.
func encode(o runtime.Object, out output) ([]byte, error) {
	switch out.media {
	case mediaProto:
		var b bytes.Buffer
		err := protoSerializer.Encode(o, &b)
		return b.Bytes(), err
	case mediaYAML:
		return yaml.Marshal(o)
	}
	if out.pretty {
		b, err := json.MarshalIndent(o, "", "  ")
		return append(b, '\n'), err
	}
	b, err := json.Marshal(o)
	return append(b, '\n'), err
}

// typed returns a stored object as the resource serves it, with apiVersion and
// kind set: a copy, for the store's may not be touched.
func (r *resource) typed(o kinds.Object) (runtime.Object, error) {
	if !r.old {
		return kinds.WithType(o), nil
	}
	if r.gvk.Group == "events.k8s.io" && r.gvk.Version == "v1" {
		return toEventsEvent(o), nil
	}
	if r.kind == kinds.Event {
		return kinds.FromStorage(toEventsEvent(o), r.gvk)
	}
	return kinds.FromStorage(o, r.gvk)
}

// readBody reads a request's body to its limit.
func (c *call) readBody() ([]byte, error) {
	limit := c.s.limits.BodyBytesMax
	if c.r.Body == nil {
		return nil, nil
	}
	if c.r.ContentLength > limit {
		return nil, bodyTooLarge(limit)
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(c.s.limits.BodyTimeout))
	defer func() { _ = c.conn.SetReadDeadline(time.Time{}) }()
	var b bytes.Buffer
	if n := c.r.ContentLength; n > 0 {
		b.Grow(int(n) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(io.LimitReader(c.r.Body, limit+1)); err != nil {
		return nil, apierrors.NewBadRequest("cannot read the body: " + err.Error())
	}
	if int64(b.Len()) > limit {
		return nil, bodyTooLarge(limit)
	}
	return b.Bytes(), nil
}

func bodyTooLarge(limit int64) error {
	return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", limit))
}

// validation is what is to be done about unknown and repeated fields
// (kubernetes.io/docs/reference/using-api/api-concepts/#field-validation).
type validation string

const (
	validateStrict validation = "Strict"
	validateWarn   validation = "Warn"
	validateIgnore validation = "Ignore"
)

func (c *call) fieldValidation() (validation, error) {
	switch v := validation(c.query.Get("fieldValidation")); v {
	case "":
		return validateWarn, nil
	case validateStrict, validateWarn, validateIgnore:
		return v, nil
	default:
		return "", apierrors.NewBadRequest(fmt.Sprintf("fieldValidation: Unsupported value: %q: supported values: \"Ignore\", \"Strict\", \"Warn\"", v))
	}
}

// decode reads a body that should be an object of the type given. The object is
// the caller's own; its apiVersion and kind are as they were sent.
func (c *call) decode(body []byte, want schema.GroupVersionKind) (runtime.Object, error) {
	media, err := c.contentType()
	if err != nil {
		return nil, err
	}
	if media == mediaProto {
		return c.decodeProto(body, want)
	}
	if media == mediaYAML {
		if body, err = c.yamlToJSON(body); err != nil {
			return nil, err
		}
	}
	return c.decodeJSON(body, want)
}

func (c *call) contentType() (string, error) {
	header := c.r.Header.Get("Content-Type")
	if header == "" {
		return mediaJSON, nil
	}
	media, _, err := mime.ParseMediaType(header)
	if err == nil && (media == mediaJSON || media == mediaYAML || media == mediaProto) {
		return media, nil
	}
	return "", unsupportedMedia(mediaAll)
}

func unsupportedMedia(accepted string) error {
	err := apierrors.NewGenericServerResponse(http.StatusUnsupportedMediaType, "", schema.GroupResource{}, "", "", 0, false)
	err.ErrStatus.Message = "the body of the request was in an unknown format - accepted media types include: " + accepted
	err.ErrStatus.Details = nil
	return err
}

func (c *call) decodeProto(body []byte, want schema.GroupVersionKind) (runtime.Object, error) {
	into := newObject(want)
	o, got, err := protoSerializer.Decode(body, &want, into)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", want.Kind, want.Version, want.Kind, err))
	}
	if reflect.TypeOf(o) != reflect.TypeOf(into) {
		return nil, wrongType(*got, want)
	}
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return o, nil
}

func newObject(gvk schema.GroupVersionKind) runtime.Object {
	if o := kinds.NewOf(gvk); o != nil {
		return o
	}
	o, err := apiScheme.New(gvk)
	if err != nil {
		panic(fmt.Sprintf("apiserver: %s is served and not in the scheme: %v", gvk, err))
	}
	return o
}

func (c *call) decodeJSON(body []byte, want schema.GroupVersionKind) (runtime.Object, error) {
	check, err := c.fieldValidation()
	if err != nil {
		return nil, err
	}
	if !shallowerThan(body, c.s.limits.BodyDepthMax) {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the body has more than %d objects and lists inside each other", c.s.limits.BodyDepthMax))
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, apierrors.NewBadRequest("the request has no body")
	}
	s := jsonLenient
	if check != validateIgnore {
		s = jsonStrict
	}
	into := newObject(want)
	o, got, err := s.Decode(body, &want, into)
	if err != nil {
		strict, isStrict := runtime.AsStrictDecodingError(err)
		if !isStrict || o == nil || check == validateStrict {
			return nil, undecodable(err, got, want)
		}
		for _, e := range strict.Errors() {
			c.warn(e.Error())
		}
	}
	if reflect.TypeOf(o) != reflect.TypeOf(into) {
		return nil, wrongType(*got, want)
	}
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return o, nil
}

func undecodable(err error, got *schema.GroupVersionKind, want schema.GroupVersionKind) error {
	text, _, _ := strings.Cut(err.Error(), " in scheme ") // which is a line of our source
	if got != nil && got.Kind != "" {
		return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", got.Kind, got.Version, want.Kind, text))
	}
	return apierrors.NewBadRequest(fmt.Sprintf("the object provided is unrecognized (must be of type %s): %s", want.Kind, text))
}

func wrongType(got, want schema.GroupVersionKind) error {
	if got.GroupVersion() != want.GroupVersion() && got.Kind == want.Kind {
		return apierrors.NewBadRequest(fmt.Sprintf("the API version in the data (%s) does not match the expected API version (%s)", got.GroupVersion(), want.GroupVersion()))
	}
	return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: converting (%s) to (%s): unknown conversion",
		got.Kind, got.Version, want.Kind, got, want))
}

// yamlToJSON converts a body; of repeated keys the strictness asked for is judged
// here, for the JSON no longer shows them.
func (c *call) yamlToJSON(body []byte) ([]byte, error) {
	check, err := c.fieldValidation()
	if err != nil {
		return nil, err
	}
	out, err := yaml.YAMLToJSONStrict(body)
	if err == nil {
		return out, nil
	}
	if check == validateStrict {
		return nil, apierrors.NewBadRequest("error decoding YAML: " + err.Error())
	}
	lenient, lerr := yaml.YAMLToJSON(body)
	if lerr != nil {
		return nil, apierrors.NewBadRequest("error decoding YAML: " + lerr.Error())
	}
	if check == validateWarn {
		c.warn(strings.TrimSpace(err.Error()))
	}
	return lenient, nil
}

// shallowerThan says whether a JSON text nests at most max deep. It need not be
// valid JSON.
func shallowerThan(text []byte, max int) bool {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case inString && b == '\\':
			i++
		case b == '"':
			inString = !inString
		case inString:
		case b == '{' || b == '[':
			if depth++; depth > max {
				return false
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return true
}

// decodeOptions reads a body that may be missing: of a delete.
func (c *call) decodeDeleteOptions(body []byte) (*metav1.DeleteOptions, error) {
	opts := &metav1.DeleteOptions{}
	if len(body) == 0 {
		return opts, nil
	}
	media, err := c.contentType()
	if err != nil {
		return nil, err
	}
	if media == mediaProto {
		want := schema.GroupVersionKind{Group: "", Version: "v1", Kind: "DeleteOptions"}
		if _, _, err := protoSerializer.Decode(body, &want, opts); err != nil {
			return nil, apierrors.NewBadRequest("cannot read the delete options: " + err.Error())
		}
		return opts, nil
	}
	if media == mediaYAML {
		if body, err = c.yamlToJSON(body); err != nil {
			return nil, err
		}
	}
	if !shallowerThan(body, c.s.limits.BodyDepthMax) {
		return nil, apierrors.NewBadRequest("the delete options nest too deep")
	}
	if err := json.Unmarshal(body, opts); err != nil {
		return nil, apierrors.NewBadRequest("cannot read the delete options: " + err.Error())
	}
	if k := opts.Kind; k != "" && k != "DeleteOptions" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s cannot be handled as DeleteOptions", k))
	}
	return opts, nil
}
