package audit

import (
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/auth"
)

// Record is what a server knows of a request when it has answered.
type Record struct {
	ID         string // a fresh UUID, also the header Audit-ID of the answer
	Received   time.Time
	Done       time.Time
	Attributes *auth.Attributes // the user of it is the one that sent the request
	As         *auth.User       // whom it acted as; nil for itself
	URI        string           // path and query
	Sources    []string         // addresses, the client's first
	Agent      string           // header User-Agent
	Code       int              // HTTP status
	Message    string           // of a refusal or a failure; may be empty
	Decision   string           // allow or forbid
	Reason     string           // of the decision
	UID        string           // of the object, where the server knows it
}

// textBytesMax is the longest text that a client or a reason can put into a line.
const textBytesMax = 2048

// Event is a line of the log, with the fields and the order of audit.k8s.io/v1.
type Event struct {
	Kind         string                     `json:"kind"`
	APIVersion   string                     `json:"apiVersion"`
	Level        string                     `json:"level"`
	ID           string                     `json:"auditID"`
	Stage        string                     `json:"stage"`
	URI          string                     `json:"requestURI"`
	Verb         string                     `json:"verb"`
	User         authenticationv1.UserInfo  `json:"user"`
	Impersonated *authenticationv1.UserInfo `json:"impersonatedUser,omitempty"`
	Sources      []string                   `json:"sourceIPs,omitempty"`
	Agent        string                     `json:"userAgent,omitempty"`
	Object       *Object                    `json:"objectRef,omitempty"`
	Response     *Response                  `json:"responseStatus,omitempty"`
	Received     metav1.MicroTime           `json:"requestReceivedTimestamp"`
	Done         metav1.MicroTime           `json:"stageTimestamp"`
	Annotations  map[string]string          `json:"annotations,omitempty"`
}

// Object is what a request was about.
type Object struct {
	Resource    string `json:"resource,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Name        string `json:"name,omitempty"`
	UID         string `json:"uid,omitempty"`
	Group       string `json:"apiGroup,omitempty"`
	Version     string `json:"apiVersion,omitempty"`
	Subresource string `json:"subresource,omitempty"`
}

// Response is how it went.
type Response struct {
	Metadata struct{} `json:"metadata"`
	Status   string   `json:"status,omitempty"`
	Message  string   `json:"message,omitempty"`
	Code     int      `json:"code"`
}

// codeBad is the first HTTP status that is a failure.
const codeBad = 400

// New makes the event of a record.
func New(r *Record) Event {
	a := r.Attributes
	e := Event{
		Kind: "Event", APIVersion: "audit.k8s.io/v1", Level: "Metadata", Stage: "ResponseComplete",
		ID: r.ID, URI: cut(strike(r.URI)), Verb: cut(a.Verb), User: a.User.Info(), Sources: r.Sources, Agent: cut(r.Agent),
		Received: metav1.NewMicroTime(r.Received.UTC()), Done: metav1.NewMicroTime(r.Done.UTC()),
		Response: &Response{Code: r.Code},
	}
	if r.Code >= codeBad {
		e.Response.Status, e.Response.Message = metav1.StatusFailure, cut(r.Message)
	}
	if r.As != nil {
		as := r.As.Info()
		e.Impersonated = &as
	}
	if a.ResourceRequest {
		e.Object = &Object{
			Resource: cut(a.Resource), Namespace: cut(a.Namespace), Name: cut(a.Name), UID: r.UID,
			Group: cut(a.APIGroup), Version: cut(a.APIVersion), Subresource: cut(a.Subresource),
		}
	}
	if r.Decision != "" {
		e.Annotations = map[string]string{"authorization.k8s.io/decision": r.Decision, "authorization.k8s.io/reason": cut(r.Reason)}
	}
	return e
}

// cut shortens a text to what a line may hold of it, between characters.
func cut(s string) string {
	if len(s) <= textBytesMax {
		return s
	}
	end := textBytesMax
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}

// secretKeys are parameters of a query in which tokens are sent, though not to this
// API.
var secretKeys = []string{"access_token", "authorization", "id_token", "password", "token"}

// strike takes the values of such parameters out of a URI. What follows the ? of an
// unreadable query is taken out whole.
func strike(uri string) string {
	path, query, ok := strings.Cut(uri, "?")
	if !ok {
		return uri
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		key, _, _ := strings.Cut(part, "=")
		plain, err := url.QueryUnescape(key)
		if err != nil {
			return path + "?..."
		}
		if slices.Contains(secretKeys, strings.ToLower(plain)) {
			parts[i] = key + "=..."
		}
	}
	return path + "?" + strings.Join(parts, "&")
}
