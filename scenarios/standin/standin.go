package standin

import (
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/standin/behaviour"
)

// Limits of one stand-in. What is beyond them is left out: a scenario that needs it has
// nothing to gain from a stand-in.
const (
	PortsMax     = 64
	ProgramsMax  = 64
	pathBytesMax = 255
)

// Image is a stand-in to be made.
type Image struct {
	Name      string // as the scenario has it
	Behaviour behaviour.Behaviour
	Programs  []string // absolute paths, beside the entry point, at which the program is to be; sorted
	NonRoot   bool     // some pod insists on a user that is not root, and names none
	Broken    bool     // no container of it can start
}

// Images are the images that a scenario's pods may have, in the order of their names, but
// for those that it says cannot be pulled.
func Images(scn *scenarios.Scenario) []Image {
	uses := usesOf(scn)
	var out []Image
	for _, name := range slices.Sorted(maps.Keys(uses)) {
		rule := scn.Behaviour(name)
		if rule.PullError != "" {
			continue
		}
		im := Image{Name: name, Behaviour: behave(name, rule), Broken: rule.StartError != ""}
		im.take(uses[name])
		out = append(out, im)
	}
	return out
}

// Names are the names of a list.
func Names(list []Image) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].Name
	}
	return out
}

// behave is a scenario's entry as its stand-in is told.
func behave(name string, rule scenarios.Image) behaviour.Behaviour {
	b := behaviour.Behaviour{
		Image:          name,
		Startup:        behaviour.Duration(rule.Startup),
		ReadyAfter:     behaviour.Duration(rule.ReadyAfter),
		RunFor:         behaviour.Duration(rule.RunFor),
		ExitCode:       int(rule.ExitCode),
		StopAfter:      behaviour.Duration(max(rule.StopAfter, scenarios.StopMin)),
		UnhealthyAfter: behaviour.Duration(rule.UnhealthyAfter),
		MemoryStart:    rule.MemoryStart,
		MemoryGrowth:   rule.MemoryGrowth,
	}
	for _, l := range rule.Logs {
		b.Logs = append(b.Logs, behaviour.Log{At: behaviour.Duration(l.At), Every: behaviour.Duration(l.Every), Line: l.Line})
	}
	return b
}

// take adds what the containers of the image say.
func (im *Image) take(of []use) {
	a := asked{}
	programs := map[string]bool{}
	for _, u := range of {
		a.container(u)
		for _, command := range commands(u.container) {
			if p, ok := program(command[0], u.container.WorkingDir); ok {
				programs[p] = true
			}
		}
		im.NonRoot = im.NonRoot || nonRoot(u)
	}
	b := &im.Behaviour
	b.Hooks, b.Liveness = a.alone(hook), a.alone(liveness)
	numbers := slices.Sorted(maps.Keys(a.ports))
	for _, n := range numbers[:min(len(numbers), PortsMax)] {
		b.Ports = append(b.Ports, a.ports[n])
	}
	for _, p := range slices.Sorted(maps.Keys(programs)) {
		if !im.below(p) && len(im.Programs) < ProgramsMax {
			im.Programs = append(im.Programs, p)
		}
	}
}

// below says that a path leads through one of the programs, or is one.
func (im *Image) below(p string) bool {
	return slices.ContainsFunc(im.Programs, func(other string) bool { return strings.HasPrefix(p+"/", other+"/") })
}

// commands are what is run in a container: by itself, and by probes and hooks.
func commands(c *corev1.Container) (out [][]string) {
	add := func(command []string) {
		if len(command) > 0 {
			out = append(out, command)
		}
	}
	add(c.Command)
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p != nil && p.Exec != nil {
			add(p.Exec.Command)
		}
	}
	for _, h := range hooks(c) {
		if h.Exec != nil {
			add(h.Exec.Command)
		}
	}
	return out
}

func hooks(c *corev1.Container) (out []*corev1.LifecycleHandler) {
	if l := c.Lifecycle; l != nil {
		for _, h := range []*corev1.LifecycleHandler{l.PostStart, l.PreStop} {
			if h != nil {
				out = append(out, h)
			}
		}
	}
	return out
}

// kernels are folders that each container has from its host's kernel.
var kernels = [...]string{"/proc", "/sys", "/dev"}

// program is the path at which a command is to be: in /bin, if it is a bare name. One
// that leads elsewhere than it says, or is made of variables, has none; nor have folders
// that no image fills.
func program(command, dir string) (string, bool) {
	if command == "" || len(command) > pathBytesMax || strings.ContainsFunc(command, func(r rune) bool { return r < ' ' || r == 0x7f }) || strings.Contains(command, "$(") {
		return "", false
	}
	p := command
	switch {
	case !strings.Contains(p, "/"):
		p = "/bin/" + p
	case !path.IsAbs(p):
		if dir != "" && !path.IsAbs(dir) {
			return "", false
		}
		p = path.Join("/", dir) + "/" + p
	}
	if slices.Contains(strings.Split(p, "/"), "..") {
		return "", false
	}
	clean := path.Clean(p)
	if base := path.Base(clean); clean == "/" || strings.HasPrefix(base, ".wh.") || len(clean) > pathBytesMax {
		return "", false
	}
	for _, k := range kernels {
		if strings.HasPrefix(clean+"/", k+"/") {
			return "", false
		}
	}
	return clean, true
}

// nonRoot says whether a container wants a user that is not root and names none.
func nonRoot(u use) bool {
	var must, user bool
	if s := u.pod.SecurityContext; s != nil {
		must, user = s.RunAsNonRoot != nil && *s.RunAsNonRoot, s.RunAsUser != nil
	}
	if s := u.container.SecurityContext; s != nil {
		if s.RunAsNonRoot != nil {
			must = *s.RunAsNonRoot
		}
		user = user || s.RunAsUser != nil
	}
	return must && !user
}
