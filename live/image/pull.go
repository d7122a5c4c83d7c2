package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Pull takes an image from its registry, whether it is here or not: a tag may stand for
// something new. Layers that are here are not fetched again. Those who pull the same
// image with the same credentials at the same time share one pull. Each of the
// credentials that fit is tried; without any, it is asked for as anyone. The error wraps
// ErrInvalidName, ErrNotFound or ErrDenied where it is that.
func (s *Store) Pull(ctx context.Context, ref string, c Credentials) (Image, error) {
	r, err := s.reference(ref)
	if err != nil {
		return Image{}, err
	}
	auths := c.matching(r.Context())
	if len(auths) == 0 {
		auths = []authn.AuthConfig{{}}
	}
	im, _, err := s.pulls.do(ctx, pullKey(canonical(r), auths), func(ctx context.Context) (Image, error) {
		return s.pullAny(ctx, r, auths)
	})
	if err != nil {
		return Image{}, fmt.Errorf("pull image %s: %w", canonical(r), err)
	}
	return im, nil
}

// pullKey is one for pulls that may be shared.
func pullKey(full string, auths []authn.AuthConfig) string {
	sum := sha256.New()
	for _, a := range auths {
		raw, _ := json.Marshal([]string{a.Username, a.Password, a.IdentityToken, a.RegistryToken}) // strings always marshal
		sum.Write(raw)
	}
	return full + " " + hex.EncodeToString(sum.Sum(nil))
}

// reference parses a name with the way its registry is spoken to.
func (s *Store) reference(ref string) (name.Reference, error) {
	r, err := parse(ref)
	if err != nil || !s.plain(r.Context().RegistryStr()) {
		return r, err
	}
	return parse(ref, name.Insecure)
}

// plain says whether a registry is spoken to without TLS.
func (s *Store) plain(registry string) bool {
	if s.named(registry) {
		return true
	}
	host, _ := splitPort(registry)
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// named says whether people have named a registry as one without TLS.
func (s *Store) named(registry string) bool {
	host, _ := splitPort(registry)
	return slices.Contains(s.config.PlainHTTP, registry) || slices.Contains(s.config.PlainHTTP, host)
}

// plainFrom says whom a registry may send to without TLS. One that is elsewhere may not
// send this host to its own loopback, where programs listen that trust whoever is there.
func (s *Store) plainFrom(registry string) func(host string) bool {
	if s.plain(registry) {
		return s.plain
	}
	return s.named
}

func (s *Store) pullAny(ctx context.Context, r name.Reference, auths []authn.AuthConfig) (im Image, err error) {
	for _, a := range auths {
		if im, err = s.pull(ctx, r, a); !errors.Is(err, ErrDenied) {
			return im, err
		}
	}
	return im, err
}

func (s *Store) pull(ctx context.Context, r name.Reference, auth authn.AuthConfig) (Image, error) {
	d, err := remote.Get(r,
		remote.WithContext(ctx),
		remote.WithAuth(authn.FromConfig(auth)),
		remote.WithTransport(&guard{next: remote.DefaultTransport, plain: s.plainFrom(r.Context().RegistryStr()), stall: s.config.Limits.PullStall}),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}),
		remote.WithJobs(layersAtOnce),
		remote.WithUserAgent("seatrial"))
	if err != nil {
		return Image{}, registryError(err, s.plain(r.Context().RegistryStr()))
	}
	if d.Size > s.config.Limits.ManifestBytes {
		return Image{}, &LimitError{"ManifestBytes", s.config.Limits.ManifestBytes, fmt.Sprintf("a manifest of %d bytes", d.Size)}
	}
	img, err := d.Image()
	if err != nil {
		return Image{}, registryError(err, s.plain(r.Context().RegistryStr()))
	}
	im, err := s.add(ctx, canonical(r), []string{repository(r.Context()) + "@" + d.Digest.String()}, img)
	if err != nil {
		return Image{}, registryError(err, s.plain(r.Context().RegistryStr()))
	}
	return im, nil
}

// registryError says which of the errors callers know it is.
func registryError(err error, plain bool) error {
	var te *transport.Error
	switch {
	case errors.As(err, &te) && te.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w at the registry: %w", ErrNotFound, err)
	case errors.As(err, &te) && (te.StatusCode == http.StatusUnauthorized || te.StatusCode == http.StatusForbidden):
		return fmt.Errorf("%w: %w", ErrDenied, err)
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") && !plain:
		return fmt.Errorf("%w; the registry must be named as one without TLS to be spoken to so", err)
	}
	return err
}
