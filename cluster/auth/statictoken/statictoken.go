package statictoken

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/kinds"
)

// tokensMax is how many tokens a file may hold.
const tokensMax = 100_000

// Tokens is an auth.Authenticator that is never written to.
type Tokens struct {
	users     map[string]auth.User
	audiences []string
}

// Parse reads a file's text. Warnings tell of lines without a token, which are
// passed over, and of tokens that come twice, of which the last counts; the error
// is a *kinds.InputError. The tokens are good for the audiences given, which are
// the API server's.
func Parse(file string, text []byte, audiences []string) (t *Tokens, warnings []string, err error) {
	t = &Tokens{users: map[string]auth.User{}, audiences: audiences}
	r := csv.NewReader(strings.NewReader(string(text)))
	r.FieldsPerRecord = -1
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return t, warnings, nil
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			return nil, nil, &kinds.InputError{File: file, Line: bad.Line, Problem: bad.Err.Error()}
		}
		line, _ := r.FieldPos(0)
		problem := func(text string) error { return &kinds.InputError{File: file, Line: line, Problem: text} }
		switch {
		case err != nil:
			return nil, nil, problem(err.Error())
		case len(record) < 3:
			return nil, nil, problem(fmt.Sprintf("must have at least 3 columns (token, user name, user uid), found %d", len(record)))
		case len(t.users) == tokensMax:
			return nil, nil, problem(fmt.Sprintf("more than %d tokens", tokensMax))
		case record[0] == "":
			warnings = append(warnings, fmt.Sprintf("%s:%d: empty token, line ignored", file, line))
			continue
		}
		if _, ok := t.users[record[0]]; ok {
			warnings = append(warnings, fmt.Sprintf("%s:%d: token occurs before, and the last one counts", file, line))
		}
		t.users[record[0]] = user(record[1:])
	}
}

// user reads the columns after the token.
func user(columns []string) auth.User {
	u := auth.User{Name: columns[0], UID: columns[1]}
	if len(columns) > 2 && columns[2] != "" {
		u.Groups = strings.Split(columns[2], ",")
	}
	return u
}

// Authenticate looks the bearer token up.
func (t *Tokens) Authenticate(_ time.Time, c *auth.Credentials) (auth.Identity, bool, error) {
	u, ok := t.users[c.Bearer]
	if c.Bearer == "" || !ok {
		return auth.Identity{}, false, nil
	}
	id := auth.Identity{User: u, Audiences: auth.Intended(t.audiences, c.Audiences, t.audiences)}
	return id, len(c.Audiences) == 0 || len(id.Audiences) > 0, nil
}
