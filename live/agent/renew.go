package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"time"

	"seatrial.dev/seatrial/cluster/auth/certs"
)

// Times of the renewal of the host's certificate.
const (
	renewWaitMin = time.Second // so that an answer of no use is not asked for again at once
	renewWaitMax = time.Hour   // after a failure
	renewTries   = 10          // in what is left of the certificate's time, at least
)

func (a *Agent) membershipFile() string { return memberFile(&a.cfg) }

func memberFile(c *Config) string { return filepath.Join(c.DataDir, "pki", "member.json") }

// keepCertificate renews the host's certificate before its time is over. Whoever asks the
// API, or is asked, uses the new one from then on.
func (a *Agent) keepCertificate(ctx context.Context) {
	wait := a.untilRenewal()
	for sleep(ctx, wait) {
		m, err := Renew(ctx, &a.cfg, a.member, a.certificate.Load())
		if err == nil {
			err = writeJSON(a.membershipFile(), m, true)
		}
		if err != nil {
			left := time.Until(a.certificate.Load().Leaf.NotAfter)
			wait = min(max(left/renewTries, renewWaitMin), renewWaitMax)
			if ctx.Err() == nil {
				a.log("renew the certificate of this host, which ends in %s: %v", left.Round(time.Second), err)
			}
			continue
		}
		pair, err := m.TLS()
		if err != nil {
			a.log("renew the certificate of this host: %v", err)
			wait = renewWaitMax
			continue
		}
		a.certificate.Store(&pair)
		a.client.Renew(&pair)
		a.log("the certificate of this host has been renewed; it ends at %s", pair.Leaf.NotAfter.Format(time.RFC3339))
		wait = a.untilRenewal()
	}
}

func (a *Agent) untilRenewal() time.Duration {
	return max(time.Until(certs.RenewAt(a.certificate.Load().Leaf)), renewWaitMin)
}

// Renew asks the server for another certificate by the one the host has. What else a
// membership has stays as it was when the host joined.
func Renew(ctx context.Context, c *Config, m *Membership, with *tls.Certificate) (*Membership, error) {
	pool, err := m.Pool()
	if err != nil {
		return nil, err
	}
	ask, keyPEM, err := c.request()
	if err != nil {
		return nil, err
	}
	answer, err := c.ask(ctx, "/renew", "", &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: []tls.Certificate{*with}}, ask)
	if err != nil {
		return nil, err
	}
	next := *m
	next.Certificate, next.Key = answer.Certificate, string(keyPEM)
	pair, err := next.TLS()
	if err != nil {
		return nil, err
	}
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return &next, err
}
