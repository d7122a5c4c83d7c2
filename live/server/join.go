package server

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/bootstraptoken"
	"seatrial.dev/seatrial/cluster/auth/certs"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
)

// JoinPath is where an agent that has a token asks for its certificate.
const JoinPath = "/join"

// RenewPath is where an agent asks for its next certificate by its present one, with
// another JoinRequest; the answer is a JoinAnswer.
const RenewPath = "/renew"

// Limits of joining.
const (
	joinBytesMax    = 64 << 10
	joinAtOnceMax   = 16
	joinBodyMax     = 10 * time.Second // for a request to arrive
	nodeNameMax     = 63               // a label's length: a node's name is the value of kubernetes.io/hostname
	silenceMin      = 40 * time.Second
	nodesGroup      = "system:nodes"
	nodeUserPrefix  = "system:node:"
	blockRequestPEM = "CERTIFICATE REQUEST"
)

// JoinRequest is what an agent sends, with its token as the bearer.
type JoinRequest struct {
	Node string `json:"node"` // the name that it wants
	CSR  string `json:"csr"`  // a certificate request in PEM; of it only the key is used
}

// JoinAnswer is what it gets.
type JoinAnswer struct {
	CA            string   `json:"ca"`          // PEM
	Certificate   string   `json:"certificate"` // PEM; for client and server
	GossipKey     string   `json:"gossipKey"`   // base64 of 32 bytes
	Gossip        []string `json:"gossip"`      // HOST:PORT of members
	ClusterDNS    string   `json:"clusterDNS"`
	ClusterDomain string   `json:"clusterDomain"`
	PodCIDR       string   `json:"podCIDR"`
	ServiceCIDR   string   `json:"serviceCIDR"`
}

// Joiner answers JoinPath and RenewPath.
type Joiner struct {
	cluster   apiserver.Cluster
	authority *certs.Authority
	span      time.Duration
	answer    JoinAnswer
	slots     chan struct{}
}

// NewJoiner lets agents into a cluster whose secrets are its tokens. Certificates are good
// for span; answer is what every agent gets besides its own.
func NewJoiner(c apiserver.Cluster, ca *certs.Authority, span time.Duration, answer JoinAnswer) *Joiner {
	answer.CA = string(ca.CertPEM())
	return &Joiner{cluster: c, authority: ca, span: span, answer: answer, slots: make(chan struct{}, joinAtOnceMax)}
}

// refusal is an answer other than a certificate.
type refusal struct {
	code int
	text string
}

func (r refusal) Error() string { return r.text }

func refuse(code int, format string, args ...any) error {
	return refusal{code, fmt.Sprintf(format, args...)}
}

// ServeHTTP gives a certificate to whoever shows a bootstrap token.
func (j *Joiner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case j.slots <- struct{}{}:
		defer func() { <-j.slots }()
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, fmt.Sprintf("more than %d agents join at once", joinAtOnceMax), http.StatusTooManyRequests)
		return
	}
	// Who sends a byte now and then has one of few slots.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(joinBodyMax))
	answer, err := j.join(r)
	var no refusal
	switch {
	case errors.As(err, &no):
		http.Error(w, no.text, no.code)
		return
	case err != nil:
		http.Error(w, "joining failed: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the agent has gone
}

func (j *Joiner) join(r *http.Request) (*JoinAnswer, error) {
	if r.Method != http.MethodPost {
		return nil, refuse(http.StatusMethodNotAllowed, "want POST")
	}
	// The token or the certificate comes first: nobody else's body is looked at.
	var renews string
	var err error
	if r.URL.Path == RenewPath {
		renews, err = j.mayRenew(r)
	} else {
		err = j.mayJoin(r)
	}
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, joinBytesMax+1))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "read the request: %v", err)
	}
	if len(body) > joinBytesMax {
		return nil, refuse(http.StatusRequestEntityTooLarge, "the request has more than %d bytes", joinBytesMax)
	}
	var q JoinRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, refuse(http.StatusBadRequest, "the request is not JSON: %v", err)
	}
	csr, err := q.check()
	if err != nil {
		return nil, refuse(http.StatusUnprocessableEntity, "%v", err)
	}
	switch {
	case renews == "":
		err = j.free(r.Context(), q.Node)
	case q.Node != renews:
		err = refuse(http.StatusForbidden, "node %q: the certificate is that of node %q, which may renew its own only", q.Node, renews)
	default:
		err = j.known(r.Context(), q.Node)
	}
	if err != nil {
		return nil, err
	}
	u := auth.User{Name: nodeUserPrefix + q.Node, Groups: []string{nodesGroup}}
	cert, err := j.authority.Host(rand.Reader, csr.PublicKey, u, certs.For(time.Now(), j.span))
	if err != nil {
		return nil, err
	}
	answer := j.answer
	answer.Certificate = string((&certs.Pair{Cert: cert}).CertPEM())
	return &answer, nil
}

// mayJoin asks whose token it is.
func (j *Joiner) mayJoin(r *http.Request) error {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return refuse(http.StatusUnauthorized, "want the header Authorization: Bearer TOKEN; seatrial token create makes one")
	}
	var ok bool
	var err error
	derr := j.cluster.Do(r.Context(), func(now time.Time, a *api.API) {
		_, ok, err = bootstraptoken.New(a.Store().Get).Authenticate(now, &auth.Credentials{Bearer: token})
	})
	switch {
	case derr != nil:
		return derr
	case err != nil:
		return refuse(http.StatusUnauthorized, "%v; seatrial token create makes a new one", err)
	case !ok:
		return refuse(http.StatusUnauthorized, "the token is not one of this cluster's; seatrial token list tells them")
	}
	return nil
}

// mayRenew says of which node the client's certificate is.
func (j *Joiner) mayRenew(r *http.Request) (node string, err error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return "", refuse(http.StatusUnauthorized, "want the certificate that is to be renewed")
	}
	who, ok, err := certs.NewClientAuth(j.authority.Cert).Authenticate(time.Now(), &auth.Credentials{Certificates: r.TLS.PeerCertificates})
	if err != nil || !ok {
		return "", refuse(http.StatusUnauthorized, "the certificate is not one of this cluster's, or its time is over: join again with a token (%v)", err)
	}
	node, is := strings.CutPrefix(who.User.Name, nodeUserPrefix)
	if !is || !slices.Contains(who.User.Groups, nodesGroup) {
		return "", refuse(http.StatusForbidden, "user %q: want a node's certificate", who.User.Name)
	}
	return node, nil
}

// known says whether a node is still of this cluster: who has been removed is not to stay
// for ever.
func (j *Joiner) known(ctx context.Context, node string) error {
	var exists bool
	err := j.cluster.Do(ctx, func(_ time.Time, a *api.API) {
		exists = a.Store().Get(kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: node}}) != nil
	})
	if err == nil && !exists {
		return refuse(http.StatusForbidden, "node %q has been removed from the cluster: join again with a token", node)
	}
	return err
}

// free says whether a name may be had: a token lets nobody take the place of a node that
// lives.
func (j *Joiner) free(ctx context.Context, node string) error {
	var lease *coordinationv1.Lease
	var exists bool
	err := j.cluster.Do(ctx, func(_ time.Time, a *api.API) {
		exists = a.Store().Get(kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: node}}) != nil
		lease, _ = a.Store().Get(kinds.Ref{Kind: kinds.Lease, Key: kinds.Key{Namespace: view.NodeLeaseNamespace, Name: node}}).(*coordinationv1.Lease)
	})
	if err != nil {
		return err
	}
	if exists && lease != nil && lease.Spec.RenewTime != nil && time.Since(lease.Spec.RenewTime.Time) < silenceMin {
		return refuse(http.StatusConflict, "node %q is there and was heard of %v ago; choose another --node-name, or wait until it has been silent for %v", node, time.Since(lease.Spec.RenewTime.Time).Round(time.Second), silenceMin)
	}
	return nil
}

// check reads the certificate request.
func (q *JoinRequest) check() (*x509.CertificateRequest, error) {
	if bad := validation.IsDNS1123Subdomain(q.Node); len(bad) > 0 {
		return nil, fmt.Errorf("node %q: %s", q.Node, strings.Join(bad, "; "))
	}
	if len(q.Node) > nodeNameMax {
		return nil, fmt.Errorf("node %q: want at most %d characters", q.Node, nodeNameMax)
	}
	block, _ := pem.Decode([]byte(q.CSR))
	if block == nil || block.Type != blockRequestPEM {
		return nil, fmt.Errorf("csr: want a PEM block %q", blockRequestPEM)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("csr: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("csr: %w", err)
	}
	return csr, nil
}
