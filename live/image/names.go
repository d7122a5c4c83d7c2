package image

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// nameBytesMax is of an image's name as it is written in a pod: a registry of 255, a
// repository of 255, a tag of 128 or a digest.
const nameBytesMax = 1024

// Canonical is a name with what Kubernetes adds: docker.io/library/web:latest for
// "web". A name with a digest loses its tag, as the digest says it all.
func Canonical(ref string) (string, error) {
	r, err := parse(ref)
	if err != nil {
		return "", err
	}
	return canonical(r), nil
}

func parse(ref string, opts ...name.Option) (name.Reference, error) {
	if len(ref) > nameBytesMax {
		return nil, fmt.Errorf("%w: it has %d bytes, want at most %d", ErrInvalidName, len(ref), nameBytesMax)
	}
	if ref == "" {
		return nil, fmt.Errorf("%w: it is empty; want REGISTRY/REPOSITORY:TAG, such as docker.io/library/busybox:1.36", ErrInvalidName)
	}
	r, err := name.ParseReference(ref, opts...)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %v; want REGISTRY/REPOSITORY:TAG, such as docker.io/library/busybox:1.36", ErrInvalidName, ref, err)
	}
	return r, nil
}

func canonical(r name.Reference) string {
	return repository(r.Context()) + separator(r) + r.Identifier()
}

func separator(r name.Reference) string {
	if _, ok := r.(name.Digest); ok {
		return "@"
	}
	return ":"
}

// repository is spelled as people and Kubernetes do: docker.io, not index.docker.io.
func repository(r name.Repository) string {
	if rest, ok := strings.CutPrefix(r.Name(), name.DefaultRegistry+"/"); ok {
		return "docker.io/" + rest
	}
	return r.Name()
}

var digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

var idPattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$`)

// checkID refuses container IDs that are no single file name.
func checkID(id string) error {
	if !idPattern.MatchString(id) {
		return fmt.Errorf("container ID %q: want up to 128 letters, digits, '.', '_' and '-', the first a letter or digit", id)
	}
	return nil
}
