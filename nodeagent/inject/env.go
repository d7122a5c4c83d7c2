package inject

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Env is an environment in the order in which it was made.
type Env struct {
	names  []string
	values map[string]string
}

func (e *Env) set(name, value string) {
	if e.values == nil {
		e.values = map[string]string{}
	}
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

// Get is one variable.
func (e *Env) Get(name string) (string, bool) {
	v, ok := e.values[name]
	return v, ok
}

// List is NAME=VALUE.
func (e *Env) List() []string {
	out := make([]string, 0, len(e.names))
	for _, n := range e.names {
		out = append(out, n+"="+e.values[n])
	}
	return out
}

// MakeEnv is a container's environment, without what its image says: envFrom, then env,
// then the variables of services that neither has set.
func MakeEnv(a *About, c *corev1.Container, objects *Objects, services []*corev1.Service) (*Env, error) {
	links := serviceEnv(services)
	e := &Env{}
	for i := range c.EnvFrom {
		if err := e.from(a.Pod.Namespace, &c.EnvFrom[i], objects); err != nil {
			return nil, err
		}
	}
	known := func(name string) (string, bool) {
		if v, ok := e.Get(name); ok {
			return v, true
		}
		return links.Get(name)
	}
	for i := range c.Env {
		v := &c.Env[i]
		if v.ValueFrom == nil {
			e.set(v.Name, Expand(v.Value, known))
			continue
		}
		value, ok, err := valueOf(a, c, v.ValueFrom, objects)
		if err != nil {
			return nil, err
		}
		if ok {
			e.set(v.Name, value)
		}
	}
	for _, name := range links.names {
		if _, ok := e.Get(name); !ok {
			e.set(name, links.values[name])
		}
	}
	return e, nil
}

// from takes in all keys of an object that can be names of variables.
func (e *Env) from(namespace string, f *corev1.EnvFromSource, objects *Objects) error {
	put := func(key, value string) {
		if name := f.Prefix + key; len(validation.IsRelaxedEnvVarName(name)) == 0 {
			e.set(name, value)
		}
	}
	if r := f.ConfigMapRef; r != nil {
		m := objects.ConfigMaps[r.Name]
		if m == nil && !optional(r.Optional) {
			return missing("configmap", r.Name)
		}
		if m != nil {
			for _, k := range slices.Sorted(maps.Keys(m.Data)) {
				put(k, m.Data[k])
			}
		}
	}
	if r := f.SecretRef; r != nil {
		s := objects.Secrets[r.Name]
		if s == nil && !optional(r.Optional) {
			return missing("secret", r.Name)
		}
		if s != nil {
			for _, k := range slices.Sorted(maps.Keys(s.Data)) {
				put(k, string(s.Data[k]))
			}
		}
	}
	return nil
}

// valueOf resolves one valueFrom; ok is false if it is optional and not there.
func valueOf(a *About, c *corev1.Container, from *corev1.EnvVarSource, objects *Objects) (value string, ok bool, err error) {
	switch {
	case from.FieldRef != nil:
		value, err = a.Field(from.FieldRef.FieldPath)
		return value, err == nil, err
	case from.ResourceFieldRef != nil:
		value, err = a.Resource(from.ResourceFieldRef, c)
		return value, err == nil, err
	case from.ConfigMapKeyRef != nil:
		r := from.ConfigMapKeyRef
		m := objects.ConfigMaps[r.Name]
		if m != nil {
			value, ok = m.Data[r.Key]
		}
		switch {
		case ok || optional(r.Optional):
			return value, ok, nil
		case m == nil:
			return "", false, missing("configmap", r.Name)
		}
		return "", false, fmt.Errorf("couldn't find key %v in ConfigMap %v/%v", r.Key, a.Pod.Namespace, r.Name)
	case from.SecretKeyRef != nil:
		r := from.SecretKeyRef
		s := objects.Secrets[r.Name]
		var raw []byte
		if s != nil {
			raw, ok = s.Data[r.Key]
		}
		switch {
		case ok || optional(r.Optional):
			return string(raw), ok, nil
		case s == nil:
			return "", false, missing("secret", r.Name)
		}
		return "", false, fmt.Errorf("couldn't find key %v in Secret %v/%v", r.Key, a.Pod.Namespace, r.Name)
	}
	return "", false, fmt.Errorf("a variable's valueFrom has no source that this agent knows")
}

// ServicesFor are the services whose variables a pod gets: kubernetes of the namespace
// default always, all of its own namespace if it wants links. They are sorted by name.
func ServicesFor(pod *corev1.Pod, all []*corev1.Service) (out []*corev1.Service) {
	linked := pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks
	byName := map[string]*corev1.Service{}
	for _, s := range all {
		if ip, err := netip.ParseAddr(s.Spec.ClusterIP); err != nil || !ip.IsValid() {
			continue
		}
		master := s.Namespace == "default" && s.Name == "kubernetes"
		switch {
		case s.Namespace == pod.Namespace && linked:
			byName[s.Name] = s // before the one of default
		case master && byName[s.Name] == nil:
			byName[s.Name] = s
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, byName[name])
	}
	return out
}

// serviceEnv is the variables of services, those of docker links included.
func serviceEnv(services []*corev1.Service) *Env {
	e := &Env{}
	for _, s := range services {
		if len(s.Spec.Ports) == 0 {
			continue
		}
		name := strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
		ip := s.Spec.ClusterIP
		e.set(name+"_SERVICE_HOST", ip)
		e.set(name+"_SERVICE_PORT", strconv.Itoa(int(s.Spec.Ports[0].Port)))
		for i := range s.Spec.Ports {
			if p := &s.Spec.Ports[i]; p.Name != "" {
				e.set(name+"_SERVICE_PORT_"+strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_")), strconv.Itoa(int(p.Port)))
			}
		}
		for i := range s.Spec.Ports {
			p := &s.Spec.Ports[i]
			protocol := p.Protocol
			if protocol == "" {
				protocol = corev1.ProtocolTCP
			}
			host := ip
			if strings.Contains(ip, ":") {
				host = "[" + ip + "]"
			}
			port := strconv.Itoa(int(p.Port))
			url := strings.ToLower(string(protocol)) + "://" + host + ":" + port
			if i == 0 {
				e.set(name+"_PORT", url)
			}
			prefix := name + "_PORT_" + port + "_" + string(protocol)
			e.set(prefix, url)
			e.set(prefix+"_PROTO", strings.ToLower(string(protocol)))
			e.set(prefix+"_PORT", port)
			e.set(prefix+"_ADDR", ip)
		}
	}
	return e
}
