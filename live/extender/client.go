package extender

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"seatrial.dev/seatrial/sched"
)

// AnswerBytesMax is how long an extender's answer may be: that for 15,000 nodes with all
// their fields fits.
const AnswerBytesMax = 256 << 20

// Client asks extenders. It implements sched.Asker.
type Client struct {
	clients map[string]*http.Client // by the extender's URL and its credentials
}

var _ sched.Asker = (*Client)(nil)

// New makes the connections' settings from the extenders' and reads their
// certificates.
func New(list []sched.Extender) (*Client, error) {
	c := &Client{clients: map[string]*http.Client{}}
	for i := range list {
		e := &list[i]
		conf, err := tlsConfig(e)
		if err != nil {
			return nil, fmt.Errorf("extender %s: %w", e.URLPrefix, err)
		}
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = conf
		c.clients[key(e)] = &http.Client{Transport: t, Timeout: e.Timeout}
	}
	return c, nil
}

func key(e *sched.Extender) string {
	return strings.Join([]string{e.URLPrefix, e.TLSServerName, e.CAFile, e.CertFile, e.KeyFile, string(e.CAData), string(e.CertData), string(e.KeyData),
		e.Timeout.String(), fmt.Sprint(e.TLSInsecure, e.EnableHTTPS)}, "\n")
}

// tlsConfig is how an extender's server is believed, and what is shown to it.
func tlsConfig(e *sched.Extender) (*tls.Config, error) {
	ca, err := contentOf(e.CAFile, e.CAData)
	if err != nil {
		return nil, err
	}
	cert, err := contentOf(e.CertFile, e.CertData)
	if err != nil {
		return nil, err
	}
	private, err := contentOf(e.KeyFile, e.KeyData)
	if err != nil {
		return nil, err
	}
	// As with kube-scheduler, enableHTTPS without a CA believes any server.
	conf := &tls.Config{ServerName: e.TLSServerName, InsecureSkipVerify: e.TLSInsecure || e.EnableHTTPS && len(ca) == 0}
	if len(ca) > 0 {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("its CA is no certificate in PEM")
		}
	}
	if len(cert) > 0 {
		pair, err := tls.X509KeyPair(cert, private)
		if err != nil {
			return nil, fmt.Errorf("its client certificate: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// contentOf is what is given in place, or else the file's content.
func contentOf(file string, data []byte) ([]byte, error) {
	if len(data) > 0 || file == "" {
		return data, nil
	}
	return os.ReadFile(file)
}

// Ask implements sched.Asker.
func (c *Client) Ask(e *sched.Extender, verb string, question, answer any) error {
	client := c.clients[key(e)]
	if client == nil {
		return fmt.Errorf("extender %s is not one of those that the client was made for", e.URLPrefix)
	}
	body, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("%s of extender %s: %w", verb, e.URLPrefix, err)
	}
	to := strings.TrimRight(e.URLPrefix, "/") + "/" + verb
	resp, err := client.Post(to, "application/json", bytes.NewReader(body))
	if err != nil {
		return unreached(to, e, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("failed %s with extender at URL %s, code %d", verb, to, resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, AnswerBytesMax+1))
	if err != nil {
		return unreached(to, e, err)
	}
	if len(text) > AnswerBytesMax {
		return fmt.Errorf("extender %s answers with more than %d bytes", to, AnswerBytesMax)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("extender %s answers with what is not the JSON of a %T: %w", to, answer, err)
	}
	return nil
}

// unreached words why there is no answer, without what differs from call to call, as
// the port of this side does: the words go into pods' conditions.
func unreached(to string, e *sched.Extender, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var slow interface{ Timeout() bool }
	if errors.As(err, &slow) && slow.Timeout() {
		return fmt.Errorf("extender %s has not answered within %v", to, e.Timeout)
	}
	return fmt.Errorf("extender %s cannot be asked: %w", to, err)
}
