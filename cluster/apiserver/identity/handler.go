package identity

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/audit"
)

// auditHeader names the request in the audit log to the client.
const auditHeader = "Audit-Id"

// Handler stands before a server that Configure has set up: it keeps what is known
// of a request, and writes the audit log after the answer.
func (i *Identity) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := &request{id: newID(), received: i.cfg.Now()}
		q.r = r.WithContext(context.WithValue(r.Context(), requestKey{}, q))
		w.Header().Set(auditHeader, q.id)
		if i.cfg.Audit == nil {
			next.ServeHTTP(w, q.r)
			return
		}
		a := &answer{ResponseWriter: w, code: http.StatusOK}
		defer i.record(q, a) // also of a connection that is cut by a panic
		next.ServeHTTP(a, q.r)
	})
}

// record writes a request's line.
func (i *Identity) record(q *request, a *answer) {
	rec := &audit.Record{ID: q.id, Received: q.received, Done: i.cfg.Now(), As: q.as, URI: q.r.URL.RequestURI(), Agent: q.r.UserAgent(),
		Code: a.code, Message: a.message(), Reason: q.reason}
	if host, _, err := net.SplitHostPort(q.r.RemoteAddr); err == nil {
		rec.Sources = []string{host}
	}
	asked := auth.Attributes{Verb: strings.ToLower(q.r.Method), Path: q.r.URL.Path}
	if q.asked != nil {
		asked = *q.asked
		if rec.Decision = "forbid"; q.allowed {
			rec.Decision = "allow"
		}
	} else if q.reason != "" {
		rec.Message, rec.Reason = q.reason, ""
	}
	asked.User, rec.Attributes = q.sender, &asked
	if err := i.cfg.Audit.Write(rec); err != nil && i.cfg.Problem != nil {
		i.cfg.Problem(err)
	}
}

// headBytesMax is how much of a refusal is kept, to find its message.
const headBytesMax = 16 << 10

// answer looks on while an answer is written.
type answer struct {
	http.ResponseWriter
	code int
	head []byte // of an answer that is a failure
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) {
	if code >= http.StatusOK { // what comes before is not the answer
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	if a.code >= http.StatusBadRequest && len(a.head) < headBytesMax {
		a.head = append(a.head, b[:min(len(b), headBytesMax-len(a.head))]...)
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the writer below.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// message is that of a Status in JSON; "" of anything else.
func (a *answer) message() string {
	var status struct{ Message string }
	if len(a.head) == 0 || json.Unmarshal(a.head, &status) != nil {
		return ""
	}
	return status.Message
}
