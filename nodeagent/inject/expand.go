package inject

import "strings"

// Expand replaces $(NAME) by what value knows; $$ is one $, and what is not known stays
// as it is. (kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables)
func Expand(text string, value func(name string) (string, bool)) string {
	if !strings.Contains(text, "$") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		switch text[i+1] {
		case '$':
			b.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(text[i:], ')')
			if end < 0 {
				b.WriteString(text[i:])
				return b.String()
			}
			if v, ok := value(text[i+2 : i+end]); ok {
				b.WriteString(v)
			} else {
				b.WriteString(text[i : i+end+1])
			}
			i += end
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}

// Unknown is a name in $(NAME) of the text that value does not know; "" if there is none.
func Unknown(text string, value func(name string) (string, bool)) (name string) {
	Expand(text, func(n string) (string, bool) {
		v, ok := value(n)
		if !ok && name == "" {
			name = n
		}
		return v, ok
	})
	return name
}
