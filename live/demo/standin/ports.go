//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"seatrial.dev/seatrial/scenarios/standin/behaviour"
)

// headerMax is how long a request's header may take to come.
const headerMax = 10 * time.Second

// serving is what health checks over gRPC answer: a message of the field status with the
// value SERVING, behind its prefix of five bytes.
const serving = "\x00\x00\x00\x00\x02\x08\x01"

// codeUnavailable is gRPC's own.
const codeUnavailable = "14"

// listen opens the ports. One that is taken, perhaps by another container of the pod, is
// told of and left to it.
func (p *process) listen() {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // gRPC
	server := &http.Server{Handler: p, ReadHeaderTimeout: headerMax, Protocols: protocols}
	for _, port := range p.b.Ports {
		if port.Probed {
			go p.probed(server, port)
			continue
		}
		if l := p.open(port); l != nil {
			go server.Serve(l) // until the process ends
		}
	}
}

// probed is open from when the process is ready until it is unhealthy.
func (p *process) probed(server *http.Server, port behaviour.Port) {
	time.Sleep(time.Until(p.ready()))
	sick := p.sick()
	if !sick.IsZero() && !time.Now().Before(sick) {
		return
	}
	l := p.open(port)
	if l == nil {
		return
	}
	if !sick.IsZero() {
		time.AfterFunc(time.Until(sick), func() { l.Close() })
	}
	server.Serve(l) // until it is closed
}

func (p *process) open(port behaviour.Port) net.Listener {
	l, err := net.Listen("tcp", ":"+strconv.Itoa(int(port.Number)))
	if err == nil && port.TLS {
		var pair tls.Certificate
		if pair, err = certificate(p.host); err == nil {
			return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}})
		}
		l.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "standin:", err)
		return nil
	}
	return l
}

// certificate is one that nobody has signed; probes do not ask.
func certificate(host string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	about := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0)}
	raw, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, err
}

// ServeHTTP answers any request with the pod's name, or with why it does not.
func (p *process) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		p.serveGRPC(w)
		return
	}
	if problem := p.problem(behaviour.HTTPAsk(r.URL.RequestURI())); problem != "" {
		http.Error(w, problem, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, p.host)
}

func (p *process) serveGRPC(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/grpc")
	if problem := p.problem(behaviour.GRPCAsk); problem != "" {
		w.Header().Set("Grpc-Status", codeUnavailable)
		w.Header().Set("Grpc-Message", problem)
		return
	}
	w.Header().Set("Trailer", "Grpc-Status")
	io.WriteString(w, serving)
	w.Header().Set("Grpc-Status", "0")
}
