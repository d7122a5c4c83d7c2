package image

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Limits of what pull secrets bring.
const (
	credentialsMax       = 1000 // registries of one secret
	credentialTokenBytes = 64 << 10
)

// Credentials are those of a pod's pull secrets. The zero value has none.
type Credentials struct {
	list []credential
}

type credential struct {
	pattern string // HOST[:PORT][/PATH]; each label of HOST may have wildcards
	auth    authn.AuthConfig
}

// authEntry is one registry in a secret, as kubectl create secret docker-registry
// writes it.
type authEntry struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// ParseDockerConfigJSON reads the .dockerconfigjson of a secret of type
// kubernetes.io/dockerconfigjson. Errors never hold what is secret in it.
func ParseDockerConfigJSON(raw []byte) (Credentials, error) {
	var file struct {
		Auths map[string]authEntry `json:"auths"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return Credentials{}, fmt.Errorf(".dockerconfigjson is not JSON with a map auths: %w", jsonError(err))
	}
	return parseAuths(".dockerconfigjson: auths", file.Auths)
}

// ParseDockerCfg reads the .dockercfg of a secret of the older type
// kubernetes.io/dockercfg: the map of registries without anything around it.
func ParseDockerCfg(raw []byte) (Credentials, error) {
	var auths map[string]authEntry
	if err := json.Unmarshal(raw, &auths); err != nil {
		return Credentials{}, fmt.Errorf(".dockercfg is not JSON with a map of registries: %w", jsonError(err))
	}
	return parseAuths(".dockercfg", auths)
}

// jsonError leaves out what the text says at the place.
func jsonError(err error) error {
	switch e := err.(type) {
	case *json.SyntaxError:
		return fmt.Errorf("wrong at byte %d", e.Offset)
	case *json.UnmarshalTypeError:
		return fmt.Errorf("%s at byte %d: want %s", e.Value, e.Offset, e.Type)
	}
	return fmt.Errorf("it cannot be read")
}

func parseAuths(where string, auths map[string]authEntry) (Credentials, error) {
	if len(auths) > credentialsMax {
		return Credentials{}, &LimitError{"credentialsMax", credentialsMax, fmt.Sprintf("%s has %d registries", where, len(auths))}
	}
	var c Credentials
	for registry, e := range auths {
		auth, err := e.config()
		if err != nil {
			return Credentials{}, fmt.Errorf("%s[%q]: %w", where, registry, err)
		}
		c.list = append(c.list, credential{pattern: registryPattern(registry), auth: auth})
	}
	// The longest path first, so that credentials for a repository come before those
	// for its registry; then any order, but always the same.
	slices.SortFunc(c.list, func(a, b credential) int { return strings.Compare(b.pattern, a.pattern) })
	return c, nil
}

func (e authEntry) config() (a authn.AuthConfig, err error) {
	a = authn.AuthConfig{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken}
	if e.Auth != "" {
		if len(e.Auth) > credentialTokenBytes {
			return a, &LimitError{"credentialTokenBytes", credentialTokenBytes, "auth has too many bytes"}
		}
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(e.Auth))
		if err != nil {
			if raw, err = base64.RawStdEncoding.DecodeString(strings.TrimSpace(e.Auth)); err != nil {
				return a, fmt.Errorf("auth is not base64; want that of USER:PASSWORD")
			}
		}
		var ok bool
		if a.Username, a.Password, ok = strings.Cut(string(raw), ":"); !ok {
			return a, fmt.Errorf("auth has no colon in it; want the base64 of USER:PASSWORD")
		}
		a.Password = strings.TrimRight(a.Password, "\x00")
	}
	return a, nil
}

// registryPattern takes from a secret's key what tools put around it: the scheme, and
// the path of the API.
func registryPattern(key string) string {
	p := key
	for _, scheme := range []string{"https://", "http://"} {
		p = strings.TrimPrefix(p, scheme)
	}
	p = strings.TrimRight(p, "/")
	for _, api := range []string{"/v1", "/v2"} {
		p = strings.TrimSuffix(p, api)
	}
	host, rest, _ := strings.Cut(p, "/")
	if host == "docker.io" || host == "registry-1.docker.io" {
		host = name.DefaultRegistry
	}
	if rest != "" {
		return host + "/" + rest
	}
	return host
}

// Join has the credentials of both, those of the first in front.
func (c Credentials) Join(more Credentials) Credentials {
	return Credentials{append(slices.Clone(c.list), more.list...)}
}

// matching are the credentials that fit a repository, in the order in which to try them.
// The rules are Kubernetes' (kubernetes.io/docs/concepts/containers/images,
// "Interpretation of config.json").
func (c Credentials) matching(repo name.Repository) (out []authn.AuthConfig) {
	for _, e := range c.list {
		if matches(e.pattern, repo.RegistryStr(), repo.RepositoryStr()) {
			out = append(out, e.auth)
		}
	}
	return out
}

// matches compares ports and numbers of labels exactly, labels with wildcards, and the
// path as a prefix.
func matches(pattern, registry, repository string) bool {
	host, prefix, _ := strings.Cut(pattern, "/")
	wantHost, wantPort := splitPort(host)
	gotHost, gotPort := splitPort(registry)
	if wantPort != gotPort || !strings.HasPrefix(repository, prefix) {
		return false
	}
	want, got := strings.Split(wantHost, "."), strings.Split(gotHost, ".")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], got[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

func splitPort(host string) (string, string) {
	if h, p, err := net.SplitHostPort(host); err == nil {
		return h, p
	}
	return host, ""
}
