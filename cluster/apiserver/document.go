package apiserver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
)

func marshalIndent(v any) ([]byte, error) { return json.MarshalIndent(v, "", "  ") }

// etag names a document by its content.
func etag(b []byte) string {
	sum := sha256.Sum256(b)
	return `"` + strings.ToUpper(hex.EncodeToString(sum[:])) + `"`
}

// notModified sets the ETag, and answers with a 304 if the client has the document.
func (c *call) notModified(b []byte) bool {
	tag := etag(b)
	c.w.Header().Set("ETag", tag)
	c.w.Header().Set("Vary", "Accept")
	for _, given := range strings.Split(c.r.Header.Get("If-None-Match"), ",") {
		if strings.TrimSpace(given) == tag {
			c.started, c.code = true, http.StatusNotModified
			c.w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	return false
}
