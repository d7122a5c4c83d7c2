package apiserver

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"seatrial.dev/seatrial/cluster/kinds"
)

// continueToken says where a list in pieces goes on, and at which version. Clients
// must not look inside.
type continueToken struct {
	RV        int64  `json:"rv"` // -1: at whatever version is the latest
	Namespace string `json:"ns,omitempty"`
	Name      string `json:"name"`           // the last object sent
	Left      int64  `json:"left,omitempty"` // how many objects follow; 0: not known
}

const continueBytesMax = 4096

func (t continueToken) encode() string {
	b, err := json.Marshal(t)
	if err != nil {
		panic(err) // two strings and a number
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseContinue(text string) (*continueToken, error) {
	t := new(continueToken)
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(text) > continueBytesMax || json.Unmarshal(b, t) != nil || t.RV < -1 || t.RV == 0 || t.Name == "" {
		return nil, apierrors.NewBadRequest("continue key is not valid: it was not made by this server")
	}
	return t, nil
}

// start is the first key that may follow.
func (t *continueToken) start() kinds.Key {
	return kinds.Key{Namespace: t.Namespace, Name: t.Name + "\x00"}
}

// expired tells that the version of a token is no longer known, and offers to go
// on at the latest one.
func (t *continueToken) expired() error {
	err := apierrors.NewResourceExpired("The provided continue parameter is too old to display a consistent list result. " +
		"You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. " +
		"Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted " +
		"between the time the first chunk was returned and now may show up in the list.")
	again := *t
	again.RV = -1
	err.ErrStatus.ListMeta.Continue = again.encode()
	return err
}
