package satoken

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// Look finds an object, or nil: the Get of a store or the Object of a view.
type Look func(kinds.Ref) kinds.Object

// How long a token lives, in seconds.
const (
	LifeMin     = 600     // the shortest that may be asked for
	LifeMax     = 1 << 32 // the longest
	LifeDefault = 3600    // where nothing is asked for
	lifeCapNone = LifeMax // Config.LifeCap 0
)

// Config is what an issuer must be told.
type Config struct {
	URL       string   // claim iss, and where the documents of discovery are: "https://kubernetes.default.svc.cluster.local"
	Audiences []string // whom a token is meant for where the request does not say: the API server; often just URL
	LifeCap   int64    // seconds that no token outlives, asked or not; 0 is no cap
}

// Preset is what Kubernetes has without flags, for a cluster of this DNS domain.
func Preset(domain string) Config {
	url := "https://kubernetes.default.svc." + domain
	return Config{URL: url, Audiences: []string{url}}
}

func (c *Config) validate() error {
	switch {
	case c.URL == "":
		return fmt.Errorf("token issuer: no URL")
	case len(c.Audiences) == 0:
		return fmt.Errorf("token issuer %s: no audiences of the API server", c.URL)
	case c.LifeCap != 0 && (c.LifeCap < LifeMin || c.LifeCap > LifeMax):
		return fmt.Errorf("token issuer %s: tokens that live at most %d s: must be between %d and %d", c.URL, c.LifeCap, LifeMin, int64(LifeMax))
	}
	return nil
}

// Issuer mints tokens. It is never written to.
type Issuer struct {
	cfg    Config
	signer jose.Signer
	keys   []*Key // the first one signs
}

// NewIssuer returns an issuer that signs with the first key and whose tokens may be
// checked by any: older keys go on being published until their tokens are over.
func NewIssuer(cfg Config, keys ...*Key) (*Issuer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("token issuer %s: no key", cfg.URL)
	}
	signer, err := keys[0].jose()
	if err != nil {
		return nil, fmt.Errorf("token issuer %s: %w", cfg.URL, err)
	}
	return &Issuer{cfg, signer, keys}, nil
}

// claims are the private claims of a token.
type claims struct {
	Audience   []string `json:"aud"` // a list also of one, which jwt.Claims would write as a string
	Kubernetes bound    `json:"kubernetes.io"`
}

type bound struct {
	Namespace      string `json:"namespace"`
	ServiceAccount ref    `json:"serviceaccount"`
	Pod            *ref   `json:"pod,omitempty"`
	Secret         *ref   `json:"secret,omitempty"`
	Node           *ref   `json:"node,omitempty"` // where the pod is, or what the token is bound to
}

type ref struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

func refOf(o metav1.Object) *ref { return &ref{o.GetName(), string(o.GetUID())} }

// Mint answers a TokenRequest for a service account: the copy that it returns has
// the defaults filled in and the token in its status. id is the token's own ID, a
// fresh UUID; it is not secret. Errors are *errors.StatusError of apimachinery:
// Invalid, NotFound, Conflict, BadRequest.
func (i *Issuer) Mint(now time.Time, look Look, account kinds.Key, r *authenticationv1.TokenRequest, id string) (*authenticationv1.TokenRequest, error) {
	out := r.DeepCopy()
	out.Name, out.Namespace = account.Name, account.Namespace
	if out.Spec.ExpirationSeconds == nil {
		out.Spec.ExpirationSeconds = new(int64)
		*out.Spec.ExpirationSeconds = LifeDefault
	}
	if len(out.Spec.Audiences) == 0 {
		out.Spec.Audiences = slices.Clone(i.cfg.Audiences)
	}
	if err := validate(out); err != nil {
		return nil, err
	}
	private, err := bind(look, account, out.Spec.BoundObjectRef)
	if err != nil {
		return nil, err
	}
	private.Audience = out.Spec.Audiences
	life := min(*out.Spec.ExpirationSeconds, cmp.Or(i.cfg.LifeCap, lifeCapNone))
	issued := now.UTC().Truncate(time.Second)
	expires := issued.Add(time.Duration(life) * time.Second)
	token, err := jwt.Signed(i.signer).Claims(jwt.Claims{
		Issuer:    i.cfg.URL,
		Subject:   subjectOf(account),
		IssuedAt:  jwt.NewNumericDate(issued),
		NotBefore: jwt.NewNumericDate(issued),
		Expiry:    jwt.NewNumericDate(expires),
		ID:        id,
	}).Claims(private).Serialize()
	if err != nil {
		return nil, fmt.Errorf("sign a token of %s: %w", account, err)
	}
	*out.Spec.ExpirationSeconds = life
	out.CreationTimestamp = metav1.NewTime(issued)
	out.Status = authenticationv1.TokenRequestStatus{Token: token, ExpirationTimestamp: metav1.NewTime(expires)}
	return out, nil
}

// KeySet is the JSON of /openid/v1/jwks: the keys that tokens are checked by.
func (i *Issuer) KeySet() ([]byte, error) {
	var set jose.JSONWebKeySet
	for _, k := range i.keys {
		set.Keys = append(set.Keys, k.public())
	}
	return json.Marshal(set)
}

// Discovery is the JSON of /.well-known/openid-configuration. Keys is where KeySet
// is to be had, "" for the issuer's own URL.
func (i *Issuer) Discovery(keys string) ([]byte, error) {
	var algorithms []string
	for _, k := range i.keys {
		if a := string(k.algorithm); !slices.Contains(algorithms, a) {
			algorithms = append(algorithms, a)
		}
	}
	return json.Marshal(struct {
		Issuer        string   `json:"issuer"`
		Keys          string   `json:"jwks_uri"`
		ResponseTypes []string `json:"response_types_supported"`
		SubjectTypes  []string `json:"subject_types_supported"`
		Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	}{i.cfg.URL, cmp.Or(keys, strings.TrimSuffix(i.cfg.URL, "/")+PathKeySet), []string{"id_token"}, []string{"public"}, algorithms})
}

// Where a server publishes what others need to check tokens.
const (
	PathKeySet    = "/openid/v1/jwks"
	PathDiscovery = "/.well-known/openid-configuration"
)

// kindsBound are what a token may be bound to.
var kindsBound = map[string]kinds.Kind{"Pod": kinds.Pod, "Secret": kinds.Secret, "Node": kinds.Node}
