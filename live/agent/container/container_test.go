package container

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/live/image"
	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/nodeagent/inject"
)

// TestSpecs plays testdata/spec: "image" sets what the image says, "spec" prints what a
// pod's first container becomes, "pod" its limits as a whole.
func TestSpecs(t *testing.T) {
	var img image.Run
	datadriven.RunTest(t, "testdata/spec", func(t *testing.T, d *datadriven.TestData) string {
		if d.Cmd == "image" {
			img = image.Run{}
			require.NoError(t, yaml.UnmarshalStrict([]byte(d.Input), &img))
			return ""
		}
		p := &corev1.Pod{}
		require.NoError(t, yaml.UnmarshalStrict([]byte(d.Input), p))
		p.Namespace, p.Name, p.UID = "shop", "p", "uid"
		if d.Cmd == "pod" {
			return fmt.Sprintf("qos %q pod %+v class %+v\n", QoS(p), PodLimits(p), QoSLimits(QoS(p), RequestedMilli(p)))
		}
		c := &p.Spec.Containers[0]
		env, err := inject.MakeEnv(&inject.About{Pod: p}, c, &inject.Objects{}, nil)
		require.NoError(t, err)
		g := &Given{Pod: p, Container: c, ID: runtime.ID{Pod: "uid", Name: "c"}, Image: img, Env: env, Hostname: "p", Rootfs: "/root", MemoryBytes: 4 << 30,
			Files: map[string]string{"/etc/hosts": "/h/hosts", "/dev/termination-log": "/h/log"}}
		for _, m := range c.VolumeMounts {
			g.Volumes = append(g.Volumes, runtime.Mount{Source: "/v/" + m.Name, Target: m.MountPath})
		}
		spec, err := Spec(g, lookup)
		if err != nil {
			return err.Error() + "\n"
		}
		text, err := yaml.Marshal(brief(spec))
		require.NoError(t, err)
		return string(text)
	})
}

// lookup knows one name.
func lookup(name string) (image.User, error) {
	switch name {
	case "":
		return image.User{Name: "root"}, nil
	case "web":
		return image.User{Name: "web", UID: 1000, GID: 1001, Groups: []uint32{1002}}, nil
	}
	var n uint32
	if _, err := fmt.Sscan(name, &n); err != nil {
		return image.User{}, errors.New("no such user: " + name)
	}
	return image.User{UID: n}, nil
}

// brief leaves out what is empty.
func brief(s runtime.ContainerSpec) map[string]any {
	raw, err := yaml.Marshal(s)
	if err != nil {
		panic(err)
	}
	out := map[string]any{}
	if err := yaml.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	for k, v := range out {
		switch v := v.(type) {
		case nil:
			delete(out, k)
		case bool:
			if !v {
				delete(out, k)
			}
		case string:
			if v == "" {
				delete(out, k)
			}
		case float64:
			if v == 0 && k != "uid" {
				delete(out, k)
			}
		}
	}
	delete(out, "id")
	delete(out, "rootfs")
	if fmt.Sprint(s.Capabilities) == fmt.Sprint(runtime.DefaultCapabilities()) {
		out["capabilities"] = "default"
	}
	return out
}
