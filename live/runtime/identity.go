package runtime

import (
	"slices"
	"strings"
)

// DefaultCapabilities are those of a container that asks for nothing.
func DefaultCapabilities() []string {
	return []string{
		"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
		"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
	}
}

// AllCapabilities stands, in a list, for all that the host has.
const AllCapabilities = "CAP_ALL"

// Capabilities are the default ones without drop and with add, sorted. Names come
// with or without CAP_, in any case; ALL in drop empties the list first, ALL in add
// answers AllCapabilities without drop.
func Capabilities(add, drop []string) []string {
	add, drop = capabilityNames(add), capabilityNames(drop)
	var out []string
	if !slices.Contains(drop, AllCapabilities) {
		out = DefaultCapabilities()
	}
	out = slices.DeleteFunc(out, func(c string) bool { return slices.Contains(drop, c) })
	out = append(out, add...)
	slices.Sort(out)
	return slices.Compact(out)
}

func capabilityNames(list []string) []string {
	out := make([]string, 0, len(list))
	for _, c := range list {
		out = append(out, "CAP_"+strings.TrimPrefix(strings.ToUpper(c), "CAP_"))
	}
	return out
}
