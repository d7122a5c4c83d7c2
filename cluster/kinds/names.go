package kinds

import "strings"

// The functions below answer "is it well formed" without a regular expression
// and without garbage. Where one says no, the slow function of the API
// machinery is asked, which has the words for why.

const (
	maxLabel     = 63  // RFC 1123 label
	maxSubdomain = 253 // RFC 1123 subdomain
)

func isLowerAlnum(b byte) bool { return 'a' <= b && b <= 'z' || '0' <= b && b <= '9' }
func isAlnum(b byte) bool      { return isLowerAlnum(b) || 'A' <= b && b <= 'Z' }

// isLabel: lower case letters, digits and inner dashes, at most 63.
func isLabel(s string) bool {
	if len(s) == 0 || len(s) > maxLabel || !isLowerAlnum(s[0]) || !isLowerAlnum(s[len(s)-1]) {
		return false
	}
	for i := 1; i < len(s)-1; i++ {
		if !isLowerAlnum(s[i]) && s[i] != '-' {
			return false
		}
	}
	return true
}

// isSubdomain: labels (of any length) joined by dots, at most 253 in all.
func isSubdomain(s string) bool {
	if len(s) == 0 || len(s) > maxSubdomain {
		return false
	}
	start := true // of a label
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case isLowerAlnum(b):
			start = false
		case b == '-' && !start && i+1 < len(s) && s[i+1] != '.':
		case b == '.' && !start:
			start = true
		default:
			return false
		}
	}
	return !start
}

// isLabelValue: empty, or at most 63 letters, digits, '-', '_' and '.', with a
// letter or digit at both ends.
func isLabelValue(s string) bool { return s == "" || isQualifiedPart(s) }

func isQualifiedPart(s string) bool {
	if len(s) == 0 || len(s) > maxLabel || !isAlnum(s[0]) || !isAlnum(s[len(s)-1]) {
		return false
	}
	for i := 1; i < len(s)-1; i++ {
		if b := s[i]; !isAlnum(b) && b != '-' && b != '_' && b != '.' {
			return false
		}
	}
	return true
}

// isQualified: a label's key, "name" or "prefix.example.com/name".
func isQualified(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '/' {
			return isSubdomain(s[:i]) && isQualifiedPart(s[i+1:])
		}
	}
	return isQualifiedPart(s)
}

// isEnvName: printable ASCII but '='. Source: the relaxed rule of
// https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/
func isEnvName(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' || s[i] == '=' {
			return false
		}
	}
	return s != ""
}

// sysctlRule is what a name must be. Source: validateSysctls in k8s.io/kubernetes.
const sysctlRule = "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"

// isSysctl: parts between dots or slashes, of lower case letters, digits, '-' and '_',
// with a letter or digit at both ends.
func isSysctl(s string) bool {
	if len(s) > maxSubdomain {
		return false
	}
	plain := func(b byte) bool { return 'a' <= b && b <= 'z' || '0' <= b && b <= '9' }
	for part := range strings.SplitSeq(strings.ReplaceAll(s, "/", "."), ".") {
		if part == "" || !plain(part[0]) || !plain(part[len(part)-1]) {
			return false
		}
		for i := 0; i < len(part); i++ {
			if !plain(part[i]) && part[i] != '-' && part[i] != '_' {
				return false
			}
		}
	}
	return true
}

// isKey: a key of a ConfigMap or Secret, a file name of letters, digits, '-',
// '_' and '.'.
func isKey(s string) bool {
	if len(s) == 0 || len(s) > maxSubdomain || s == "." || len(s) > 1 && s[:2] == ".." {
		return false
	}
	for i := 0; i < len(s); i++ {
		if b := s[i]; !isAlnum(b) && b != '-' && b != '_' && b != '.' {
			return false
		}
	}
	return true
}

func isPort(p int32) bool { return 1 <= p && p <= 65535 }
