package image

import (
	"context"
	"fmt"
	"os"
)

// Within lists the canonical names of the images in an OCI layout or an archive, as Import
// would take them in, without a store to take them.
func Within(ctx context.Context, file string) ([]string, error) {
	dir, err := os.MkdirTemp("", "seatrial-images-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	s, err := Open(dir, Config{})
	if err != nil {
		return nil, err
	}
	list, end, err := s.sources(ctx, file)
	defer end()
	if err != nil {
		return nil, fmt.Errorf("read images of %s: %w", file, err)
	}
	var out []string
	for _, src := range list {
		for _, n := range src.names {
			full, err := Canonical(n)
			if err != nil {
				return nil, fmt.Errorf("read images of %s: %w", file, err)
			}
			out = append(out, full)
		}
	}
	return out, nil
}
