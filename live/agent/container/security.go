package container

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/live/runtime"
)

// securityOf is the container's security context, and the pod's; neither is nil.
func securityOf(g *Given) (own *corev1.SecurityContext, pod *corev1.PodSecurityContext) {
	own, pod = g.Container.SecurityContext, g.Pod.Spec.SecurityContext
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	if pod == nil {
		pod = &corev1.PodSecurityContext{}
	}
	return own, pod
}

func or[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// setUser says who the process is: by the container, by the pod, or by the image.
func setUser(s *runtime.ContainerSpec, g *Given, lookup User) error {
	own, pod := securityOf(g)
	user, group := or(own.RunAsUser, pod.RunAsUser), or(own.RunAsGroup, pod.RunAsGroup)
	nonRoot := or(own.RunAsNonRoot, pod.RunAsNonRoot)
	who := g.Image.User
	if user != nil {
		who = strconv.FormatInt(*user, 10)
	}
	of := fmt.Sprintf("(pod: %q, container: %s)", g.Pod.Name+"_"+g.Pod.Namespace+"("+string(g.Pod.UID)+")", g.Container.Name)
	if nonRoot != nil && *nonRoot && user == nil {
		if name, numeric := userPart(who); name != "" && !numeric {
			return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root %s", name, of)
		}
	}
	u, err := lookup(who)
	if err != nil {
		return err
	}
	s.UID, s.GID = u.UID, u.GID
	if group != nil {
		s.GID = uint32(*group)
	}
	if nonRoot != nil && *nonRoot && s.UID == 0 {
		if user != nil {
			return fmt.Errorf("container's runAsUser breaks non-root policy %s", of)
		}
		return fmt.Errorf("container has runAsNonRoot and image will run as root %s", of)
	}
	if p := pod.SupplementalGroupsPolicy; p == nil || *p == corev1.SupplementalGroupsPolicyMerge {
		s.Groups = append(s.Groups, u.Groups...)
	}
	for _, n := range pod.SupplementalGroups {
		s.Groups = append(s.Groups, uint32(n))
	}
	if pod.FSGroup != nil {
		s.Groups = append(s.Groups, uint32(*pod.FSGroup))
	}
	slices.Sort(s.Groups)
	s.Groups = slices.Compact(s.Groups)
	return nil
}

// userPart is the user in USER[:GROUP], and whether it is a number.
func userPart(who string) (name string, numeric bool) {
	for i := range len(who) {
		if who[i] == ':' {
			who = who[:i]
			break
		}
	}
	_, err := strconv.ParseUint(who, 10, 32)
	return who, err == nil
}

func setSecurity(s *runtime.ContainerSpec, g *Given) {
	own, pod := securityOf(g)
	if p := or(own.SeccompProfile, pod.SeccompProfile); p != nil {
		s.Unconfined = p.Type == corev1.SeccompProfileTypeUnconfined
	}
	is := func(b *bool) bool { return b != nil && *b }
	s.Privileged = is(own.Privileged)
	s.ReadonlyRootfs = is(own.ReadOnlyRootFilesystem)
	s.NoNewPrivileges = own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation
	s.UnmaskedProc = own.ProcMount != nil && *own.ProcMount == corev1.UnmaskedProcMount
	var add, drop []string
	if k := own.Capabilities; k != nil {
		for _, c := range k.Add {
			add = append(add, string(c))
		}
		for _, c := range k.Drop {
			drop = append(drop, string(c))
		}
	}
	s.Capabilities = runtime.Capabilities(add, drop)
}
