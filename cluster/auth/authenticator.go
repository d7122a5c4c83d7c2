package auth

import (
	"crypto/x509"
	"errors"
	"time"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
)

// Credentials are what a request carries to say who sends it. Basic
// authentication would be another field.
type Credentials struct {
	// Certificates is the client's chain as TLS received it, leaf first; it need
	// not have been verified.
	Certificates []*x509.Certificate
	// Bearer is the token of "Authorization: Bearer ...".
	Bearer string
	// Audiences are whom a token must be meant for, as a TokenReview may ask; none
	// is the API server itself.
	Audiences []string
}

// Identity is what credentials prove.
type Identity struct {
	User      User
	Audiences []string // those asked for that the token is good for; nil where tokens know none
}

// Authenticator knows one kind of credentials.
type Authenticator interface {
	// Authenticate answers false where there are no credentials of its kind, or
	// none that it knows, and an error where they are of its kind and bad.
	Authenticate(now time.Time, c *Credentials) (Identity, bool, error)
}

// errBearer and errNone are why a request is unauthorized beside what
// authenticators say.
var (
	errBearer = errors.New("invalid bearer token")
	errNone   = errors.New("no credentials, and anonymous requests are not allowed")
)

// Front is the whole of a server's authentication.
type Front struct {
	Of        []Authenticator // tried in this order; the first that knows the user wins
	Anonymous bool            // a request without credentials is one of system:anonymous
}

// Identify says who sends a request. Its error is for the audit log and the
// server's own; the client is told Unauthorized. Bad credentials are an error also
// where requests without any are anonymous.
func (f *Front) Identify(now time.Time, c *Credentials) (Identity, error) {
	var failed []error
	for _, a := range f.Of {
		id, ok, err := a.Authenticate(now, c)
		if ok && err == nil {
			id.User = withGroup(id.User, Authenticated)
			return id, nil
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	if c.Bearer != "" {
		failed = append([]error{errBearer}, failed...)
	}
	switch {
	case len(failed) > 0:
		return Identity{}, utilerrors.NewAggregate(failed)
	case !f.Anonymous:
		return Identity{}, errNone
	}
	return Identity{User: User{Name: Anonymous, Groups: []string{Unauthenticated}}}, nil
}

// Intended are the audiences that a token is good for: of those asked for, the
// ones it was issued to; where none is asked for, the server's own stand in. An
// empty answer means that the token is meant for somebody else.
func Intended(issued, asked, server []string) []string {
	if len(asked) == 0 {
		asked = server
	}
	var both []string
	for _, a := range asked {
		for _, i := range issued {
			if a == i {
				both = append(both, a)
				break
			}
		}
	}
	return both
}
