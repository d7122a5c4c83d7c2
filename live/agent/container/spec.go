package container

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/live/image"
	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/nodeagent/inject"
)

// Given is all that a spec is made of.
type Given struct {
	Pod       *corev1.Pod
	Container *corev1.Container
	ID        runtime.ID
	Image     image.Run
	Rootfs    string
	Hostname  string
	Env       *inject.Env
	Volumes   []runtime.Mount // of the container's volumeMounts

	// Files of the host that every container of the pod has, by what they are mounted on:
	// /etc/hosts and its like, and the one for the message of its end. A volume that the
	// container mounts there goes first.
	Files map[string]string

	MemoryBytes int64 // that the host has: shares of it say who is killed first
	LogPath     string
	LogBytesMax int64
	LogFiles    int
}

// User looks a user up in the image's own files.
type User func(name string) (image.User, error)

// Spec is the run to start.
func Spec(g *Given, lookup User) (runtime.ContainerSpec, error) {
	c := g.Container
	s := runtime.ContainerSpec{ID: g.ID, Rootfs: g.Rootfs, LogPath: g.LogPath, LogBytesMax: g.LogBytesMax, LogFiles: g.LogFiles,
		TTY: c.TTY, Stdin: c.Stdin, StdinOnce: c.StdinOnce}
	s.Env = environment(g)
	s.Args = command(g)
	if len(s.Args) == 0 {
		return s, fmt.Errorf("no command specified")
	}
	s.Cwd = c.WorkingDir
	if s.Cwd == "" {
		s.Cwd = g.Image.WorkingDir
	}
	if err := setUser(&s, g, lookup); err != nil {
		return s, err
	}
	setSecurity(&s, g)
	s.Resources = Limits(&c.Resources)
	s.OOMScoreAdj = oomScoreAdj(g)
	s.Mounts = mounts(g)
	return s, nil
}

// environment is the image's, with the pod's over it.
func environment(g *Given) []string {
	var out []string
	put := func(list []string) {
		for _, v := range list {
			name, _, _ := strings.Cut(v, "=")
			at := slices.IndexFunc(out, func(o string) bool { return strings.HasPrefix(o, name+"=") })
			if at < 0 {
				out = append(out, v)
			} else {
				out[at] = v
			}
		}
	}
	put(g.Image.Env)
	if g.Hostname != "" {
		put([]string{"HOSTNAME=" + g.Hostname})
	}
	put(g.Env.List())
	return out
}

// command is the pod's command and args, or the image's where the pod has none. The
// image's arguments belong to the image's entry point alone.
func command(g *Given) []string {
	expand := func(list []string) []string {
		out := make([]string, len(list))
		for i, s := range list {
			out[i] = inject.Expand(s, g.Env.Get)
		}
		return out
	}
	entry, args := expand(g.Container.Command), expand(g.Container.Args)
	if len(entry) == 0 {
		entry = g.Image.Entrypoint
		if len(args) == 0 {
			args = g.Image.Cmd
		}
	}
	return slices.Concat(entry, args)
}

// mounts are the host's files and then the volumes, parents before what is below them.
func mounts(g *Given) []runtime.Mount {
	var out []runtime.Mount
	for target, source := range g.Files {
		at := path.Clean(target)
		if !slices.ContainsFunc(g.Volumes, func(m runtime.Mount) bool { return path.Clean(m.Target) == at }) {
			out = append(out, runtime.Mount{Source: source, Target: at})
		}
	}
	out = append(out, g.Volumes...)
	slices.SortStableFunc(out, func(a, b runtime.Mount) int { return strings.Compare(path.Clean(a.Target), path.Clean(b.Target)) })
	return out
}
