package identity

import (
	"fmt"
	"slices"
	"strings"
)

// Mode is one way to decide who may do what, by the name that Kubernetes' flag
// --authorization-mode gives it.
type Mode string

// The modes.
const (
	AlwaysAllow Mode = "AlwaysAllow"
	AlwaysDeny  Mode = "AlwaysDeny"
	RBAC        Mode = "RBAC"
	Node        Mode = "Node"
)

// ParseModes reads modes parted by commas; they are asked in that order.
func ParseModes(text string) ([]Mode, error) {
	known := []Mode{AlwaysAllow, AlwaysDeny, RBAC, Node}
	var modes []Mode
	for name := range strings.SplitSeq(text, ",") {
		m := Mode(strings.TrimSpace(name))
		switch {
		case !slices.Contains(known, m):
			return nil, fmt.Errorf("authorization mode %q: want one or more of AlwaysAllow, AlwaysDeny, Node, RBAC, parted by commas", name)
		case slices.Contains(modes, m):
			return nil, fmt.Errorf("authorization mode %q is named twice", m)
		}
		modes = append(modes, m)
	}
	return modes, nil
}
