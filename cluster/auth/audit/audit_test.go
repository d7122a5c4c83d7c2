package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/audit"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func record() *audit.Record {
	return &audit.Record{
		ID: "1-2", Received: now, Done: now.Add(1500 * time.Microsecond),
		Attributes: &auth.Attributes{
			User: auth.User{Name: "jane", Groups: []string{"dev"}, Extra: map[string][]string{auth.CredentialID: {"JTI=7"}}},
			Verb: "get", ResourceRequest: true, APIVersion: "v1", Resource: "secrets", Namespace: "shop", Name: "s",
		},
		As:  &auth.User{Name: "joe"},
		URI: "/api/v1/namespaces/shop/secrets/s?Access_Token=abc&pretty=true", Sources: []string{"10.0.0.7"}, Agent: "kubectl/v1",
		Code: 403, Message: "no", Decision: "forbid", Reason: "RBAC: none",
	}
}

func TestEvent(t *testing.T) {
	line, err := json.Marshal(audit.New(record()))
	require.NoError(t, err)
	require.Equal(t, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1-2","stage":"ResponseComplete",`+
		`"requestURI":"/api/v1/namespaces/shop/secrets/s?Access_Token=...\u0026pretty=true","verb":"get",`+
		`"user":{"username":"jane","groups":["dev"],"extra":{"authentication.kubernetes.io/credential-id":["JTI=7"]}},"impersonatedUser":{"username":"joe"},`+
		`"sourceIPs":["10.0.0.7"],"userAgent":"kubectl/v1","objectRef":{"resource":"secrets","namespace":"shop","name":"s","apiVersion":"v1"},`+
		`"responseStatus":{"metadata":{},"status":"Failure","message":"no","code":403},`+
		`"requestReceivedTimestamp":"2026-03-01T12:00:00.123456Z","stageTimestamp":"2026-03-01T12:00:00.124956Z",`+
		`"annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":"RBAC: none"}}`, string(line))
}

func TestLongAndSecretTexts(t *testing.T) {
	for uri, want := range map[string]string{
		"/a":                    "/a",
		"/a?token=x":            "/a?token=...",
		"/a?b=c&%74oken=x&d":    "/a?b=c&%74oken=...&d",
		"/a?%zz=1&token=secret": "/a?...",
		"/a?command=token":      "/a?command=token",
	} {
		r := record()
		r.URI = uri
		require.Equal(t, want, audit.New(r).URI)
	}
	r := record()
	r.Agent = strings.Repeat("é", 5000)
	agent := audit.New(r).Agent
	require.Equal(t, strings.Repeat("é", 1024)+"...", agent)
}

// disk keeps files in memory.
type disk struct {
	all  []*bytes.Buffer
	fail bool
}

func (d *disk) Next(bool, int) (io.WriteCloser, int64, error) {
	if d.fail {
		return nil, 0, errors.New("disk full")
	}
	d.all = append(d.all, &bytes.Buffer{})
	return d, 0, nil
}

func (d *disk) Write(p []byte) (int, error) { return d.all[len(d.all)-1].Write(p) }
func (d *disk) Close() error                { return nil }

func TestLogStaysBelowItsLimit(t *testing.T) {
	cfg := audit.Config{FileBytesMax: 128 << 10, FilesMax: 3}
	d := &disk{}
	l, err := audit.Open(cfg, d)
	require.NoError(t, err)
	for range 1000 {
		require.NoError(t, l.Write(record()))
	}
	lines := 0
	for _, f := range d.all {
		require.LessOrEqual(t, f.Len(), int(cfg.FileBytesMax))
		lines += strings.Count(f.String(), "\n")
	}
	require.Equal(t, 1000, lines)
	require.Greater(t, len(d.all), 3)

	// After a failure the next line tries anew.
	d.fail = true
	var failed error
	for range 1000 {
		if failed = l.Write(record()); failed != nil {
			break
		}
	}
	require.ErrorContains(t, failed, "disk full")
	d.fail = false
	require.NoError(t, l.Write(record()))
	require.NoError(t, l.Close())
}

func TestConfig(t *testing.T) {
	for _, c := range []audit.Config{{}, {FileBytesMax: 1 << 20, FilesMax: -1}} {
		_, err := audit.Open(c, &disk{})
		require.Error(t, err)
	}
}

func BenchmarkWrite(b *testing.B) {
	d := &disk{}
	l, err := audit.Open(audit.Preset(), d)
	require.NoError(b, err)
	for b.Loop() {
		d.all[len(d.all)-1].Reset()
		require.NoError(b, l.Write(record()))
	}
}
