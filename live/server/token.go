package server

import (
	"crypto/rand"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/auth/bootstraptoken"
)

// TokenSpan is how long a token is good for unless said otherwise, as kubeadm has it.
const TokenSpan = 24 * time.Hour

// A token is "ID.SECRET", of these lengths and letters
// (https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#token-format).
const (
	tokenIDLen     = 6
	tokenSecretLen = 16
	tokenLetters   = "abcdefghijklmnopqrstuvwxyz0123456789"
)

// NewToken draws a token with which agents may join, and the secret that a cluster knows
// it by. A span of 0 never ends.
func NewToken(now time.Time, span time.Duration, description string) (token string, secret *corev1.Secret, err error) {
	text, err := letters(tokenIDLen + tokenSecretLen)
	if err != nil {
		return "", nil, fmt.Errorf("draw a token: %w", err)
	}
	id, key := text[:tokenIDLen], text[tokenIDLen:]
	data := map[string][]byte{"token-id": []byte(id), "token-secret": []byte(key),
		"usage-bootstrap-authentication": []byte("true"), "usage-bootstrap-signing": []byte("true")}
	if description != "" {
		data["description"] = []byte(description)
	}
	if span > 0 {
		data["expiration"] = []byte(now.Add(span).UTC().Format(time.RFC3339))
	}
	return id + "." + key, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: bootstraptoken.SecretPrefix + id},
		Type:       corev1.SecretTypeBootstrapToken,
		Data:       data,
	}, nil
}

// letters draws each letter with equal chance.
func letters(n int) (string, error) {
	out := make([]byte, 0, n)
	buf := make([]byte, 2*n)
	for len(out) < n {
		if _, err := rand.Read(buf); err != nil {
			return "", err
		}
		for _, b := range buf {
			if int(b) < 256/len(tokenLetters)*len(tokenLetters) && len(out) < n {
				out = append(out, tokenLetters[int(b)%len(tokenLetters)])
			}
		}
	}
	return string(out), nil
}
