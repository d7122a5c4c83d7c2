package inject

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Limits of a volume that is made of objects.
const (
	PayloadBytesMax = 16 << 20
	PayloadFilesMax = 10_000
)

// File is one file of a volume.
type File struct {
	Data []byte
	Mode int32 // permissions
	// Token: it is one, and is not for everyone on the host to read where the container's
	// user or group is known.
	Token bool
}

// defaultMode is that of files of volumes that name none.
const defaultMode int32 = 0o644

// defaultTokenSeconds is how long a projected token lives that names no time.
const defaultTokenSeconds int64 = 3600

func modeOf(own, all *int32) int32 {
	switch {
	case own != nil:
		return *own
	case all != nil:
		return *all
	}
	return defaultMode
}

// TokenOf is the token that a projection asks for.
func TokenOf(p *corev1.ServiceAccountTokenProjection) Token {
	t := Token{Audience: p.Audience, Seconds: defaultTokenSeconds}
	if p.ExpirationSeconds != nil {
		t.Seconds = *p.ExpirationSeconds
	}
	return t
}

// Made says whether a volume is made of objects.
func Made(v *corev1.Volume) bool {
	return v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil
}

// VolumesWanted names what a pod's volumes are made of.
func VolumesWanted(pod *corev1.Pod) (w Wanted) {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		switch {
		case v.ConfigMap != nil:
			w.configMap(v.ConfigMap.Name)
		case v.Secret != nil:
			w.secret(v.Secret.SecretName)
		case v.Projected != nil:
			for j := range v.Projected.Sources {
				s := &v.Projected.Sources[j]
				if s.ConfigMap != nil {
					w.configMap(s.ConfigMap.Name)
				}
				if s.Secret != nil {
					w.secret(s.Secret.Name)
				}
				if s.ServiceAccountToken != nil {
					w.token(TokenOf(s.ServiceAccountToken))
				}
			}
		}
	}
	return w
}

// Payload is the files of a volume that is Made, by their paths in it.
func Payload(a *About, v *corev1.Volume, objects *Objects) (map[string]File, error) {
	out := payload{}
	var err error
	switch {
	case v.ConfigMap != nil:
		s := v.ConfigMap
		err = out.configMap(a.Pod.Namespace, s.Name, s.Items, s.DefaultMode, optional(s.Optional), objects)
	case v.Secret != nil:
		s := v.Secret
		err = out.secret(a.Pod.Namespace, s.SecretName, s.Items, s.DefaultMode, optional(s.Optional), objects)
	case v.DownwardAPI != nil:
		err = out.downward(a, v.DownwardAPI.Items, v.DownwardAPI.DefaultMode)
	case v.Projected != nil:
		for i := range v.Projected.Sources {
			if err = out.projection(a, &v.Projected.Sources[i], v.Projected.DefaultMode, objects); err != nil {
				break
			}
		}
	default:
		return nil, fmt.Errorf("volume %q is not made of objects", v.Name)
	}
	if err != nil {
		return nil, err
	}
	return out, out.check()
}

type payload map[string]File

func (p payload) check() error {
	if len(p) > PayloadFilesMax {
		return fmt.Errorf("%d files: want at most %d (limit PayloadFilesMax)", len(p), PayloadFilesMax)
	}
	sum := 0
	for _, path := range slices.Sorted(maps.Keys(p)) {
		// A path with .. would leave the volume, and names that begin with it are those by
		// which the volume is changed in one step.
		if !filepath.IsLocal(path) || path == "." || len(path) >= 2 && path[:2] == ".." {
			return fmt.Errorf("path %q: want one within the volume that does not begin with ..", path)
		}
		sum += len(p[path].Data)
	}
	if sum > PayloadBytesMax {
		return fmt.Errorf("%d bytes: want at most %d (limit PayloadBytesMax)", sum, PayloadBytesMax)
	}
	return nil
}

func (p payload) projection(a *About, s *corev1.VolumeProjection, all *int32, objects *Objects) error {
	switch {
	case s.ConfigMap != nil:
		return p.configMap(a.Pod.Namespace, s.ConfigMap.Name, s.ConfigMap.Items, all, optional(s.ConfigMap.Optional), objects)
	case s.Secret != nil:
		return p.secret(a.Pod.Namespace, s.Secret.Name, s.Secret.Items, all, optional(s.Secret.Optional), objects)
	case s.DownwardAPI != nil:
		return p.downward(a, s.DownwardAPI.Items, all)
	case s.ServiceAccountToken != nil:
		t := TokenOf(s.ServiceAccountToken)
		text, ok := objects.Tokens[t]
		if !ok {
			return fmt.Errorf("failed to fetch token of service account %s/%s", a.Pod.Namespace, a.Pod.Spec.ServiceAccountName)
		}
		p[s.ServiceAccountToken.Path] = File{Data: []byte(text), Mode: modeOf(nil, all), Token: true}
		return nil
	}
	return fmt.Errorf("a projected source is none of configMap, secret, downwardAPI and serviceAccountToken, which are all that this agent knows")
}

func (p payload) configMap(namespace, name string, items []corev1.KeyToPath, all *int32, optional bool, objects *Objects) error {
	m := objects.ConfigMaps[name]
	if m == nil {
		if optional {
			return nil
		}
		return missing("configmap", name)
	}
	data := make(map[string][]byte, len(m.Data)+len(m.BinaryData))
	for k, v := range m.Data {
		data[k] = []byte(v)
	}
	for k, v := range m.BinaryData {
		data[k] = v
	}
	return p.keys("configmap", namespace, name, data, items, all, optional)
}

func (p payload) secret(namespace, name string, items []corev1.KeyToPath, all *int32, optional bool, objects *Objects) error {
	s := objects.Secrets[name]
	if s == nil {
		if optional {
			return nil
		}
		return missing("secret", name)
	}
	return p.keys("secret", namespace, name, s.Data, items, all, optional)
}

// keys takes all keys, or those of items to their paths.
func (p payload) keys(kind, namespace, name string, data map[string][]byte, items []corev1.KeyToPath, all *int32, optional bool) error {
	if len(items) == 0 {
		for k, v := range data { //det:ok fills a map
			p[k] = File{Data: v, Mode: modeOf(nil, all)}
		}
		return nil
	}
	for i := range items {
		v, ok := data[items[i].Key]
		if !ok {
			if optional {
				continue
			}
			return fmt.Errorf("references non-existent %s key: %s of %s/%s", kind, items[i].Key, namespace, name)
		}
		p[items[i].Path] = File{Data: v, Mode: modeOf(items[i].Mode, all)}
	}
	return nil
}

func (p payload) downward(a *About, items []corev1.DownwardAPIVolumeFile, all *int32) error {
	for i := range items {
		var text string
		var err error
		switch f := &items[i]; {
		case f.FieldRef != nil:
			text, err = a.Field(f.FieldRef.FieldPath)
		case f.ResourceFieldRef != nil:
			text, err = a.Resource(f.ResourceFieldRef, nil)
		default:
			err = fmt.Errorf("downwardAPI file %q has neither fieldRef nor resourceFieldRef", f.Path)
		}
		if err != nil {
			return err
		}
		p[items[i].Path] = File{Data: []byte(text), Mode: modeOf(items[i].Mode, all)}
	}
	return nil
}
