package inject

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Token names a service account's token that a volume asks for.
type Token struct {
	Audience string // "" is the API's own
	Seconds  int64  // of its life
}

// Objects are what the world has found of what was needed, all of one namespace.
type Objects struct {
	ConfigMaps map[string]*corev1.ConfigMap
	Secrets    map[string]*corev1.Secret
	Tokens     map[Token]string
}

// Wanted names objects, each once and in the order in which they are met.
type Wanted struct {
	ConfigMaps []string
	Secrets    []string
	Tokens     []Token
}

func (w *Wanted) configMap(name string) {
	if !slices.Contains(w.ConfigMaps, name) {
		w.ConfigMaps = append(w.ConfigMaps, name)
	}
}

func (w *Wanted) secret(name string) {
	if !slices.Contains(w.Secrets, name) {
		w.Secrets = append(w.Secrets, name)
	}
}

func (w *Wanted) token(t Token) {
	if !slices.Contains(w.Tokens, t) {
		w.Tokens = append(w.Tokens, t)
	}
}

// EnvWanted names what a container's environment is made of.
func EnvWanted(c *corev1.Container) (w Wanted) {
	for i := range c.EnvFrom {
		if r := c.EnvFrom[i].ConfigMapRef; r != nil {
			w.configMap(r.Name)
		}
		if r := c.EnvFrom[i].SecretRef; r != nil {
			w.secret(r.Name)
		}
	}
	for i := range c.Env {
		from := c.Env[i].ValueFrom
		if from == nil {
			continue
		}
		if r := from.ConfigMapKeyRef; r != nil {
			w.configMap(r.Name)
		}
		if r := from.SecretKeyRef; r != nil {
			w.secret(r.Name)
		}
	}
	return w
}

// About is what of a pod and its node a container may be told, beyond the pod's object.
type About struct {
	Pod         *corev1.Pod
	PodIPs      []string
	HostIPs     []string
	Allocatable corev1.ResourceList // of the node: the limit of a container without one
}

func missing(kind, name string) error { return fmt.Errorf("%s %q not found", kind, name) }

func optional(b *bool) bool { return b != nil && *b }
