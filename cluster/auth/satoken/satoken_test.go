package satoken_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/authtest"
	"seatrial.dev/seatrial/cluster/auth/certs"
	"seatrial.dev/seatrial/cluster/auth/satoken"
	"seatrial.dev/seatrial/cluster/kinds"
)

// keyRSA is a key for tests only.
const keyRSA = `-----BEGIN RSA PRIVATE KEY-----
MIIEpAIBAAKCAQEAkP4UFfku14VBhnlFyTaTnpRoRBq16pq/wP+OovodPCcwkgW0
zw4r8l9OCV37zBdc+dL1f0DWJsrGotH/43EisBlOqLRJkmv4i0gXplFPzduXLNoi
jbS82N4EGqQYcI1Ca+O2YNGW5LmovlkjC2MbSrpgLX1bicZSYZKgfrgompe0BbBf
f46Vg4r9jd0JrRNjNTnax/KnmBosNC5fMmgyMhYW6H0Ef+cA30Dn+IWrgVbtvm81
15kFKR2DbrdCvQFT1CNp8GlKVbokl5OV6pE2wkerziu+Xr+3nZZz4Sz+96F8Xw2+
BwDkUoqWILGo3QW55yDvdspXPM2ylX6Ad9zMFwIDAQABAoIBAA1NkpA1jauuiUWK
SPHeNQseuLZO8RP2YNOXXwHrCtWjDtzG80DwHu4c+m73lYuzNQ+i4G1tiHiEsFbu
B5lZnwIjQElQSVPK3kIBOlJDMZxEook19mekBpOrQxsipS9mdoqpmOknMb4Insfg
K8v2quFfWkWyM7zfWl2jc2BNC0SrtTdD2X5PhecI317Bf5i6BNEkYdbWczeTd1/u
7KvvHUTbx+bF4gSL+eXFU3wXFocSbPRtVImBYITvn8YTcZIIzmPt5MSCy0URUCB+
p/MUHqiW5tOh0W2JCEy5Mc0gFcQvNx1/Cvva6sZIxLHV4sJhWxtw9sXYM52w695D
EznkTEECgYEAxKjx9xoImAuEsBTZ6Xyz6UUCt3DbEB7OCs0hvRIEg0fxuXLQdB2s
p7ecbDXaN3O1SGyzS6XNaMClp03zQpm3slhMxSH6re8F0fhXOJ7tSI1y6P0sLior
dNmum/Jo0X+l9k6Jz3Fwc0N2e2ZsU3PkKS/uci7hYTBZM3K2nr3GF+ECgYEAvL4Q
7WRqb3Wbgjz85RYJJ6KX/uMba8qV3xjetlr7HKFLizQeX9SgKtg7UFEZcHheFDte
zlubammRrB3nZRqhBJu28FDw+7BKbo8b/Sx5EbnPSzO+VjQ4DTePLmNBOSpI9Cyb
lTmQq5cUqKUhE9Ww5IK+FPBrsASvAzyKbRMMAvcCgYEArtRat4gnV7P1s+v1hcLc
1mYJcjccKIqaNbQDaGhaJrOQy4Ksmm2/DiMHJpQBeQaehNJN2tR9dcC+A6witHSf
gCdLqHz6tCIoFHAoaievXq6RF1vrKOdIVssmlXC9inFmgz9y+D4q7+1rqWx2pQIE
NjFsU4olxxcKVdiHTTv8nUECgYEAsRiSH30qFV0/xgtdq8JqYqNAhSwpjZGv4H6g
cnCZ0DpT/NCxc2+5vZnYxbri6NI4TDmM8omoIUffJKWGeiprTTyigYkhJLg8jtJ/
C6YQD57OL5zkilRDB7vLAFanW3EetOWqMnGqGicPflI64DaQ3UkD+/e+w5ERejLz
G/dUPO8CgYBCEQqv4aPsyytadIqdk6iJFEcgvACo36NcAPHQnGeyRQ+WFSrJQ1Y4
qfHWWP94tk3h4h58m7q3vDf2TI3nlbwKBfnOeXR+ljlkjllDIw/KJHuQx2XD3axI
+LVqd7gLemDGlYPLbCYDCy7h4tLmRjbTOiU2tm62w9wAvQFKhvZ8WA==
-----END RSA PRIVATE KEY-----
`

func stream() io.Reader { return rand.NewChaCha8([32]byte{2}) }

// session is a cluster with an issuer, whose tokens have names.
type session struct {
	now       time.Time
	objects   map[kinds.Ref]kinds.Object
	keys      map[string]*satoken.Key
	issuer    *satoken.Issuer
	check     *satoken.Authenticator
	tokens    map[string]string
	lastToken int
}

func newSession(t testing.TB) *session {
	r := stream()
	s := &session{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), objects: map[kinds.Ref]kinds.Object{}, tokens: map[string]string{}, keys: map[string]*satoken.Key{}}
	for _, name := range []string{"first", "second"} {
		k, err := satoken.DrawKey(r)
		require.NoError(t, err)
		s.keys[name] = k
	}
	signer, err := certs.ParseKey([]byte(keyRSA))
	require.NoError(t, err)
	s.keys["rsa"], err = satoken.NewKey(signer)
	require.NoError(t, err)
	s.issue(t, "first")
	s.check = satoken.NewAuthenticator(s.issuer, s.look)
	return s
}

func (s *session) look(r kinds.Ref) kinds.Object {
	if o, ok := s.objects[r]; ok {
		return o
	}
	return nil
}

// issue makes an issuer with these keys.
func (s *session) issue(t testing.TB, names ...string) {
	cfg := satoken.Preset("cluster.local")
	cfg.LifeCap = 86400
	keys := make([]*satoken.Key, len(names))
	for i, n := range names {
		keys[i] = s.keys[n]
	}
	var err error
	s.issuer, err = satoken.NewIssuer(cfg, keys...)
	require.NoError(t, err)
}

// TestTranscripts asks for tokens and uses them; -rewrite writes the output.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		s := newSession(t)
		datadriven.RunTest(t, path, s.play)
	})
}

func (s *session) play(t *testing.T, d *datadriven.TestData) string {
	arg := func(key string) []string { a, _ := d.Arg(key); return a.Vals }
	switch d.Cmd {
	case "objects":
		for _, o := range authtest.Objects(t, d.Input) {
			s.objects[kinds.RefOf(o)] = o
		}
		return ""
	case "gone": // kind, namespace, name
		for line := range strings.Lines(d.Input) {
			delete(s.objects, ref(t, line))
		}
		return ""
	case "deleting":
		o := s.objects[ref(t, d.Input)]
		o.SetDeletionTimestamp(&metav1.Time{Time: s.now})
		return ""
	case "wait":
		span, err := time.ParseDuration(strings.TrimSpace(d.Input))
		require.NoError(t, err)
		s.now = s.now.Add(span)
		return ""
	case "keys":
		s.issue(t, strings.Fields(d.Input)...)
		if arg("check") == nil {
			s.check = satoken.NewAuthenticator(s.issuer, s.look)
		}
		return ""
	case "request":
		return s.request(t, arg("as")[0], arg("for"), d.Input)
	case "present":
		return s.present(arg("token")[0], arg("audiences"))
	case "edit":
		s.tokens[arg("as")[0]] = edit(t, s.tokens[arg("token")[0]], d.Input)
		return ""
	case "publish":
		keys, err := s.issuer.KeySet()
		require.NoError(t, err)
		discovery, err := s.issuer.Discovery("")
		require.NoError(t, err)
		return string(keys) + "\n" + string(discovery) + "\n"
	}
	t.Fatalf("unknown command %s", d.Cmd)
	return ""
}

func ref(t *testing.T, line string) kinds.Ref {
	f := strings.Split(strings.TrimSpace(line), "/")
	k, ok := kinds.ByName(f[0])
	require.True(t, ok, line)
	return kinds.Ref{Kind: k, Key: kinds.Key{Namespace: f[1], Name: f[2]}}
}

func (s *session) request(t *testing.T, as string, account []string, input string) string {
	r := &authenticationv1.TokenRequest{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(input), &r.Spec))
	s.lastToken++
	out, err := s.issuer.Mint(s.now, s.look, kinds.Key{Namespace: account[0], Name: account[1]}, r, fmt.Sprintf("id-%d", s.lastToken))
	if err != nil {
		return err.Error() + "\n"
	}
	s.tokens[as] = out.Status.Token
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(out.Status.Token, ".")[1])
	require.NoError(t, err)
	return fmt.Sprintf("%s\n%d s, until %s\n", payload, *out.Spec.ExpirationSeconds, out.Status.ExpirationTimestamp.UTC().Format(time.RFC3339))
}

func (s *session) present(token string, audiences []string) string {
	text, ok := s.tokens[token]
	if !ok {
		text = token
	}
	id, ok, err := s.check.Authenticate(s.now, &auth.Credentials{Bearer: text, Audiences: audiences})
	switch {
	case err != nil:
		return "bad: " + err.Error() + "\n"
	case !ok:
		return "not mine\n"
	}
	extra, _ := json.Marshal(id.User.Extra)
	return fmt.Sprintf("%s %s %v for %v\n%s\n", id.User.Name, id.User.UID, id.User.Groups, id.Audiences, extra)
}

// edit changes a part of a token, "header", "payload" or "signature", by replacing
// a text in it.
func edit(t *testing.T, token, change string) string {
	parts := strings.Split(token, ".")
	for line := range strings.Lines(change) {
		f := strings.Fields(line)
		i := slices.Index([]string{"header", "payload", "signature"}, f[0])
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		if i == 2 {
			text[0] ^= 1
		} else {
			require.Contains(t, string(text), f[1])
			text = []byte(strings.Replace(string(text), f[1], f[2], 1))
		}
		parts[i] = base64.RawURLEncoding.EncodeToString(text)
	}
	return strings.Join(parts, ".")
}

// TestOthersCanCheck: the key set, as anybody reads it, is good for a token.
func TestOthersCanCheck(t *testing.T) {
	s := newSession(t)
	s.issue(t, "rsa", "first")
	token := s.mint(t)
	text, err := s.issuer.KeySet()
	require.NoError(t, err)
	var set jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal(text, &set))
	sig, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	require.NoError(t, err)
	_, err = sig.Verify(set)
	require.NoError(t, err)
}

// TestVerifyAsksNobody: a token that is forged is refused without a look at any object.
func TestVerifyAsksNobody(t *testing.T) {
	s := newSession(t)
	token := s.mint(t)
	a := satoken.NewAuthenticator(s.issuer, func(r kinds.Ref) kinds.Object { panic("asked for " + r.String()) })
	_, ok, err := a.Verify(&auth.Credentials{Bearer: token})
	require.NoError(t, err)
	require.True(t, ok)
	parts := strings.Split(token, ".")
	forged := parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))
	_, ok, err = a.Verify(&auth.Credentials{Bearer: forged})
	require.ErrorContains(t, err, "signature is by none of the cluster's keys")
	require.False(t, ok)
	_, ok, err = a.Verify(&auth.Credentials{Bearer: "abcdef.0123456789abcdef"})
	require.NoError(t, err)
	require.False(t, ok)
}

func (s *session) mint(t testing.TB) string {
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "till", Namespace: "shop", UID: "u"}}
	s.objects[kinds.RefOf(sa)] = sa
	out, err := s.issuer.Mint(s.now, s.look, kinds.KeyOf(sa), &authenticationv1.TokenRequest{}, "id")
	require.NoError(t, err)
	return out.Status.Token
}

// TestMintIsDeterministic: equal claims are equal tokens.
func TestMintIsDeterministic(t *testing.T) {
	a, b := newSession(t), newSession(t)
	require.Equal(t, a.mint(t), b.mint(t))
}

func TestConfig(t *testing.T) {
	s := newSession(t)
	for _, c := range []satoken.Config{{}, {URL: "x"}, {URL: "x", Audiences: []string{"x"}, LifeCap: 10}} {
		_, err := satoken.NewIssuer(c, s.keys["first"])
		require.Error(t, err)
	}
	_, err := satoken.NewIssuer(satoken.Preset("cluster.local"))
	require.ErrorContains(t, err, "no key")
}

// FuzzToken: whatever is taken for a token says what was minted, and no more.
func FuzzToken(f *testing.F) {
	s := newSession(f)
	good := s.mint(f)
	f.Add(good)
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Add("eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + ".")
	f.Add("a.b.c")
	want, _, err := s.check.Authenticate(s.now, &auth.Credentials{Bearer: good})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, token string) {
		id, ok, err := s.check.Authenticate(s.now, &auth.Credentials{Bearer: token})
		if ok && (err != nil || !reflect.DeepEqual(id, want)) {
			t.Fatalf("%q is %v, %v", token, id, err)
		}
		if err != nil && len(token) > 40 && strings.Contains(err.Error(), token) {
			t.Fatal("the error shows the token")
		}
	})
}

func BenchmarkMint(b *testing.B) {
	s := newSession(b)
	for b.Loop() {
		s.mint(b)
	}
}

func BenchmarkCheck(b *testing.B) {
	s := newSession(b)
	c := &auth.Credentials{Bearer: s.mint(b)}
	for b.Loop() {
		if _, ok, err := s.check.Authenticate(s.now, c); !ok {
			b.Fatal(err)
		}
	}
}
