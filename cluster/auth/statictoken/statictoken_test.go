package statictoken_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/statictoken"
)

const file = `s3cret,jane,7,"dev,ops"
other,joe,8
,nobody,9
other,joe2,8,""
`

func TestTokens(t *testing.T) {
	tokens, warnings, err := statictoken.Parse("tokens.csv", []byte(file), []string{"api"})
	require.NoError(t, err)
	require.Equal(t, []string{"tokens.csv:3: empty token, line ignored", "tokens.csv:4: token occurs before, and the last one counts"}, warnings)
	ask := func(token string, audiences ...string) (auth.Identity, bool) {
		id, ok, err := tokens.Authenticate(time.Time{}, &auth.Credentials{Bearer: token, Audiences: audiences})
		require.NoError(t, err)
		return id, ok
	}
	id, ok := ask("s3cret")
	require.True(t, ok)
	require.Equal(t, auth.User{Name: "jane", UID: "7", Groups: []string{"dev", "ops"}}, id.User)
	id, ok = ask("other", "vault", "api")
	require.True(t, ok)
	require.Equal(t, auth.Identity{User: auth.User{Name: "joe2", UID: "8"}, Audiences: []string{"api"}}, id)
	for _, bad := range []string{"", "s3cre", "S3CRET"} {
		_, ok = ask(bad)
		require.False(t, ok, bad)
	}
	_, ok = ask("other", "vault")
	require.False(t, ok)
}

func TestBadFiles(t *testing.T) {
	for text, want := range map[string]string{
		"a,b,c\ntoken,user\n":     "tokens.csv:2: must have at least 3 columns (token, user name, user uid), found 2",
		"a,b,c\ntok\"en,user,1\n": `tokens.csv:2: bare " in non-quoted-field`,
		"a,b,\"c\n":               `tokens.csv:1: extraneous or missing " in quoted-field`,
	} {
		_, _, err := statictoken.Parse("tokens.csv", []byte(text), nil)
		require.ErrorContains(t, err, want)
	}
	_, _, err := statictoken.Parse("tokens.csv", []byte(strings.Repeat("t,u,1\n", 10)+manyTokens(100_001)), nil)
	require.ErrorContains(t, err, "more than 100000 tokens")
}

func manyTokens(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat("x", 1+i%7) + time.Duration(i).String() + ",u,1\n")
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	f.Add(file)
	f.Add("a,\"b\n\"\"c\",d\r\n#,,\n")
	f.Fuzz(func(t *testing.T, text string) {
		tokens, _, err := statictoken.Parse("f", []byte(text), nil)
		if (tokens == nil) != (err != nil) {
			t.Fatal(tokens, err)
		}
		if err != nil {
			return
		}
		if _, ok, _ := tokens.Authenticate(time.Time{}, &auth.Credentials{}); ok {
			t.Fatal("no token is a token")
		}
	})
}
