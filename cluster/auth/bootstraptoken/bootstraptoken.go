// Package bootstraptoken knows the tokens with which nodes join a cluster: secrets
// of type bootstrap.kubernetes.io/token in kube-system, as
// https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/ says.
// A token is "ID.SECRET"; whoever presents it is the user system:bootstrap:ID. The
// secrets are made by whoever starts the cluster and removed by a controller when
// they have expired.
//
// Nothing that goes out of here contains the secret half of a token.
package bootstraptoken

import (
	"crypto/subtle"
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/kinds"
)

// Names with which a token's user and secret begin, and the group of all of them.
const (
	UserPrefix   = "system:bootstrap:"
	SecretPrefix = "bootstrap-token-"
	Group        = "system:bootstrappers"
)

var (
	form      = regexp.MustCompile(`^([a-z0-9]{6})\.([a-z0-9]{16})$`)
	groupForm = regexp.MustCompile(`^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$`)
)

// Tokens is an auth.Authenticator. It may be asked whenever look may.
type Tokens struct {
	look func(kinds.Ref) kinds.Object
}

// New finds secrets by look: the Get of a store or the Object of a view.
func New(look func(kinds.Ref) kinds.Object) *Tokens { return &Tokens{look} }

// HasForm says whether a bearer token may be one of these.
func HasForm(bearer string) bool { return form.MatchString(bearer) }

// Authenticate passes over what has not the form of such a token, or is of none that
// there is. A token that is there and may not be used is an error.
func (t *Tokens) Authenticate(now time.Time, c *auth.Credentials) (auth.Identity, bool, error) {
	m := form.FindStringSubmatch(c.Bearer)
	if m == nil {
		return auth.Identity{}, false, nil
	}
	id, secret := m[1], m[2]
	key := kinds.Key{Namespace: metav1.NamespaceSystem, Name: SecretPrefix + id}
	s, ok := t.look(kinds.Ref{Kind: kinds.Secret, Key: key}).(*corev1.Secret)
	if !ok || s.DeletionTimestamp != nil || s.Type != corev1.SecretTypeBootstrapToken ||
		subtle.ConstantTimeCompare(s.Data["token-secret"], []byte(secret)) != 1 || string(s.Data["token-id"]) != id {
		return auth.Identity{}, false, nil
	}
	if err := usable(now, id, s); err != nil {
		return auth.Identity{}, false, err
	}
	u := auth.User{Name: UserPrefix + id, Groups: []string{Group}}
	if extra := string(s.Data["auth-extra-groups"]); extra != "" {
		for g := range strings.SplitSeq(extra, ",") {
			if !groupForm.MatchString(g) {
				return auth.Identity{}, false, fmt.Errorf("bootstrap token %s: bootstrap group %q is invalid (must match %s)", id, g, groupForm)
			}
			u.Groups = append(u.Groups, g)
		}
	}
	return auth.Identity{User: u}, true, nil
}

// usable says why a token that exists may not be used.
func usable(now time.Time, id string, s *corev1.Secret) error {
	if text, ok := s.Data["expiration"]; ok {
		until, err := time.Parse(time.RFC3339, string(text))
		switch {
		case err != nil:
			return fmt.Errorf("bootstrap token %s: expiration is not a time of RFC 3339", id)
		case !now.Before(until):
			return fmt.Errorf("bootstrap token %s has expired", id)
		}
	}
	if string(s.Data["usage-bootstrap-authentication"]) != "true" {
		return fmt.Errorf("bootstrap token %s is not for authentication", id)
	}
	return nil
}
