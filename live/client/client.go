package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// Limits of what is taken from a server.
const (
	answerBytesMax = 256 << 20 // of one answer
	pageItems      = 250       // asked for at a time of a list: 250 of the largest objects are within that
	errorBytesMax  = 1 << 20
	eventBytesMax  = 16 << 20 // of one event of a watch
	dialMax        = 10 * time.Second
)

// Config says which API, and as whom.
type Config struct {
	Server      string           // https://HOST:PORT
	CA          *x509.CertPool   // whom the server's certificate must come from
	Certificate *tls.Certificate // who we are; nil for nobody
	UserAgent   string           // such as "seatrial-agent"
	Timeout     time.Duration    // of one request that is not a watch; 30 s if zero
}

// Client is one identity at one API.
type Client struct {
	base      string
	ca        *x509.CertPool
	http      atomic.Pointer[http.Client]
	userAgent string
	timeout   time.Duration
}

// New checks the config; it does not connect.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.Server)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("server %q: want https://HOST:PORT", c.Server)
	}
	if c.CA == nil {
		return nil, errors.New("client of an API: there is no certificate authority")
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	out := &Client{base: strings.TrimSuffix(c.Server, "/"), userAgent: c.UserAgent, timeout: c.Timeout, ca: c.CA}
	out.http.Store(out.connections(c.Certificate))
	return out, nil
}

// connections are those of one certificate.
func (c *Client) connections(cert *tls.Certificate) *http.Client {
	conf := &tls.Config{RootCAs: c.ca, MinVersion: tls.VersionTLS12}
	if cert != nil {
		conf.Certificates = []tls.Certificate{*cert}
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:       conf,
		ForceAttemptHTTP2:     true,
		DialContext:           (&net.Dialer{Timeout: dialMax}).DialContext,
		TLSHandshakeTimeout:   dialMax,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   4,
		ResponseHeaderTimeout: c.timeout,
		// A connection that has died is found out by a ping, or watches would stand
		// still for ever.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}}
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.Load().CloseIdleConnections() }

// Renew has all that is asked from now on be asked with another certificate. Watches that
// are open go on with the one they have.
func (c *Client) Renew(cert *tls.Certificate) {
	c.http.Swap(c.connections(cert)).CloseIdleConnections()
}

// Get reads one object.
func (c *Client) Get(ctx context.Context, ref kinds.Ref) (kinds.Object, error) {
	o := ref.Kind.Info().New()
	if err := c.Call(ctx, http.MethodGet, objectPath(ref), "", nil, o); err != nil {
		return nil, err
	}
	return o, nil
}

// Get reads one object of a kind's Go type.
func Get[T kinds.Object](ctx context.Context, c *Client, ref kinds.Ref) (T, error) {
	o, err := c.Get(ctx, ref)
	if err != nil {
		var none T
		return none, err
	}
	return o.(T), nil
}

// Selection narrows a list or watch; the zero value is all.
type Selection struct {
	Namespace string
	Fields    string // "spec.nodeName=n1"
	Labels    string // "app=web"
}

func (s Selection) query() url.Values {
	q := url.Values{}
	if s.Fields != "" {
		q.Set("fieldSelector", s.Fields)
	}
	if s.Labels != "" {
		q.Set("labelSelector", s.Labels)
	}
	return q
}

// List reads all objects of a kind that are selected, and the version from which a watch
// tells all that has changed since, also while the list was read.
func (c *Client) List(ctx context.Context, k kinds.Kind, s Selection) (out []kinds.Object, version string, err error) {
	q := s.query()
	q.Set("limit", strconv.Itoa(pageItems))
	for {
		var page struct {
			Metadata metav1.ListMeta   `json:"metadata"`
			Items    []json.RawMessage `json:"items"`
		}
		if err := c.Call(ctx, http.MethodGet, collectionPath(k, s.Namespace)+"?"+q.Encode(), "", nil, &page); err != nil {
			return nil, "", err
		}
		for _, raw := range page.Items {
			o := k.Info().New()
			if err := json.Unmarshal(raw, o); err != nil {
				return nil, "", fmt.Errorf("list of %s: item %d: %w", k.Info().Plural, len(out), err)
			}
			out = append(out, o)
		}
		if version == "" {
			version = page.Metadata.ResourceVersion
		}
		if page.Metadata.Continue == "" {
			return out, version, nil
		}
		q.Set("continue", page.Metadata.Continue)
	}
}

// Call makes one request: body, if not nil, as JSON (or as contentType says, if it is
// []byte), and the answer into into, if that is not nil. path may have a query.
func (c *Client) Call(ctx context.Context, method, path, contentType string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.send(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, answerBytesMax))
	if err != nil {
		return fmt.Errorf("%s %s: reading the answer: %w", method, path, err)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s %s: the answer is not what was asked for: %w", method, path, err)
	}
	return nil
}

// send answers a response of success, or an error.
func (c *Client) send(ctx context.Context, method, path, contentType string, body any) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		raw, ok := body.([]byte)
		if !ok {
			var err error
			if raw, err = json.Marshal(body); err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			contentType = "application/json"
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept", "application/json")
	if c.userAgent != "" {
		req.Header.Set("User-Agent", c.userAgent)
	}
	resp, err := c.http.Load().Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, statusOf(method, path, resp)
}

// statusOf is the error that an answer stands for.
func statusOf(method, path string, resp *http.Response) error {
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, errorBytesMax))
	var s metav1.Status
	if json.Unmarshal(raw, &s) == nil && s.Kind == "Status" && s.Status == metav1.StatusFailure {
		return &apierrors.StatusError{ErrStatus: s}
	}
	text := strings.TrimSpace(string(raw))
	if len(text) > 200 {
		text = text[:200]
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: int32(resp.StatusCode), Reason: metav1.StatusReasonUnknown,
		Message: fmt.Sprintf("%s %s: %s: %s", method, path, resp.Status, text),
	}}
}

// collectionPath is where the objects of a kind are; namespace "" is all.
func collectionPath(k kinds.Kind, namespace string) string {
	info := k.Info()
	p := "/api/" + info.GVK.Version
	if info.GVK.Group != "" {
		p = "/apis/" + info.GVK.Group + "/" + info.GVK.Version
	}
	if info.Namespaced && namespace != "" {
		p += "/namespaces/" + url.PathEscape(namespace)
	}
	return p + "/" + info.Plural
}

func objectPath(ref kinds.Ref) string {
	return collectionPath(ref.Kind, ref.Namespace) + "/" + url.PathEscape(ref.Name)
}
