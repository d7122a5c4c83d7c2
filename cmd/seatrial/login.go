package main

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/certs"
)

// certSpan is how long the certificates of a served cluster are good for. They are
// made anew at each start, and their authority's key is never written down.
const certSpan = 365 * 24 * time.Hour

// admin is the user of the kubeconfig that serve writes.
var admin = auth.User{Name: "kubernetes-admin", Groups: []string{auth.Masters}}

// adminName is what the kubeconfig calls it.
const adminName = "admin"

// loginFile is the kubeconfig that serve writes and clock reads where none is named.
const loginFile = "seatrial.kubeconfig"

// loginMark is the first line of a kubeconfig that may be written over.
const loginMark = "# Written by seatrial serve, which replaces it at its next start.\n"

// keys are the certificates of one served cluster.
type keys struct {
	authority *certs.Authority
	serving   *certs.Pair
	admin     *certs.Pair
}

// drawKeys makes certificates for a server that listens at an address.
func drawKeys(now time.Time, at net.Addr) (*keys, error) {
	span := certs.For(now, certSpan)
	ca, err := certs.NewAuthority(rand.Reader, "kubernetes", span)
	if err != nil {
		return nil, err
	}
	serving, err := ca.Serving(rand.Reader, hostsOf(at), span)
	if err != nil {
		return nil, err
	}
	client, err := ca.Client(rand.Reader, admin, span)
	if err != nil {
		return nil, err
	}
	return &keys{ca, serving, client}, nil
}

// hostsOf are the names by which a server at an address is called.
func hostsOf(at net.Addr) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	host, _, err := net.SplitHostPort(at.String())
	if err != nil {
		return hosts
	}
	ip := net.ParseIP(host)
	if !ip.IsUnspecified() {
		return append(hosts, host)
	}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				hosts = append(hosts, n.IP.String())
			}
		}
	}
	return hosts
}

// config is for a server that asks for the client's certificate and leaves it to
// authentication to check it.
func (k *keys) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{k.serving.TLS()}, ClientAuth: tls.RequestClientCert}
}

// urlOf is where a client on this machine finds a server.
func urlOf(at net.Addr, secure bool) string {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return scheme + "://" + at.String()
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// isLoopback says whether only this machine reaches an address.
func isLoopback(at net.Addr) bool {
	tcp, ok := at.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// writeLogin writes a kubeconfig for the administrator, or without credentials if
// there are no keys. Only its owner may read it. A file that serve has not written
// is left as it is.
func writeLogin(file, name, url string, k *keys) error {
	was, err := os.ReadFile(file)
	if err == nil && !bytes.HasPrefix(was, []byte(loginMark)) && len(was) > 0 {
		return fmt.Errorf("--kubeconfig %s: is there and was not written by seatrial serve; name another file", file)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--kubeconfig: %w", err)
	}
	l := certs.Login{Cluster: cmp.Or(name, "seatrial"), Server: url, User: adminName}
	if k != nil {
		l.CA, l.Client = k.authority.CertPEM(), k.admin
	}
	text, err := certs.Kubeconfig(l)
	if err != nil {
		return fmt.Errorf("--kubeconfig: %w", err)
	}
	// A new file, which is 0600 from the start, takes the place of the old one.
	f, err := os.CreateTemp(filepath.Dir(file), ".seatrial-kubeconfig-")
	if err != nil {
		return fmt.Errorf("--kubeconfig: %w", err)
	}
	_, err = f.Write(append([]byte(loginMark), text...))
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("--kubeconfig: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
