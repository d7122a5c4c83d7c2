package runtime

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// Limits of what one pod may ask for.
const (
	ContainersMax = 256       // kept in one pod, ended ones included
	SessionsMax   = 64        // execs and attaches of one pod at a time
	MountsMax     = 512       // of one container
	ArgsBytesMax  = 1 << 20   // arguments and environment together
	RunMax        = 1_000_000 // runs of a container
	ShmBytes      = 64 << 20  // of /dev/shm, if the sandbox asks for nothing else
	sysctlsMax    = 64
	groupsMax     = 1024
	pathBytesMax  = 4095

	labelBytesMax    = 63
	hostnameBytesMax = 64
)

// These are not regular expressions, which each start of a container would compile.

func isLower(c byte) bool  { return 'a' <= c && c <= 'z' }
func isUpper(c byte) bool  { return 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return isLower(c) || isUpper(c) }

// made says whether s has 1 to most bytes, all of them as inner says and the first
// and last letters or digits.
func made(s string, most int, inner func(byte) bool) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !inner(c) || (i == 0 || i == len(s)-1) && !isLetter(c) && !isDigit(c) {
			return false
		}
	}
	return true
}

func isUID(s string) bool {
	return made(s, labelBytesMax, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '-' })
}

func isLabel(s string) bool {
	return made(s, labelBytesMax, func(c byte) bool { return isLower(c) || isDigit(c) || c == '-' })
}

func isHostname(s string) bool {
	return made(s, hostnameBytesMax, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '-' || c == '.' })
}

func isQoS(s string) bool { return made(s, labelBytesMax, isLower) }

func isCapability(s string) bool {
	rest, ok := strings.CutPrefix(s, "CAP_")
	return ok && made(rest, labelBytesMax, func(c byte) bool { return isUpper(c) || c == '_' })
}

// isSysctl takes dots or slashes between parts.
func isSysctl(s string) bool {
	return strings.ContainsAny(s, "./") && !strings.Contains(s, "..") && !strings.Contains(s, "./") && !strings.Contains(s, "//") &&
		made(s, pathBytesMax, func(c byte) bool {
			return isLetter(c) || isDigit(c) || c == '_' || c == '-' || c == '.' || c == '/'
		})
}

// ID names one run of a container.
type ID struct {
	Pod  string `json:"pod"` // the pod's UID
	Name string `json:"name"`
	Run  int    `json:"run"` // counted by the caller from 0
}

func (id ID) String() string { return fmt.Sprintf("%s/%s.%d", id.Pod, id.Name, id.Run) }

// Local is the name within the pod, fit for a file.
func (id ID) Local() string { return fmt.Sprintf("%s.%d", id.Name, id.Run) }

// Validate says what is wrong with an ID.
func (id ID) Validate() error {
	switch {
	case !isUID(id.Pod):
		return invalid("pod", id.Pod, "want a UID: letters, digits and dashes, 63 at most")
	case !isLabel(id.Name):
		return invalid("name", id.Name, "want a DNS label: lower-case letters, digits and dashes, 63 at most")
	case id.Run < 0 || id.Run > RunMax:
		return invalid("run", fmt.Sprint(id.Run), fmt.Sprintf("want 0 to %d", RunMax))
	}
	return nil
}

// Resources are limits; zero is none.
type Resources struct {
	CPUShares       uint64 `json:"cpuShares,omitempty"` // 2 to 262144, as in cgroup v1
	CPUQuotaMicros  int64  `json:"cpuQuotaMicros,omitempty"`
	CPUPeriodMicros uint64 `json:"cpuPeriodMicros,omitempty"` // 100,000 if zero
	MemoryBytes     int64  `json:"memoryBytes,omitempty"`     // and no swap
	PIDs            int64  `json:"pids,omitempty"`
}

// Validate says what is wrong with limits.
func (r Resources) Validate() error {
	switch {
	case r.CPUShares != 0 && (r.CPUShares < 2 || r.CPUShares > 262144):
		return invalid("cpuShares", fmt.Sprint(r.CPUShares), "want 2 to 262144, or 0 for the default")
	case r.CPUQuotaMicros != 0 && r.CPUQuotaMicros < 1000:
		return invalid("cpuQuotaMicros", fmt.Sprint(r.CPUQuotaMicros), "want 1000 or more, or 0 for no limit")
	case r.CPUPeriodMicros != 0 && (r.CPUPeriodMicros < 1000 || r.CPUPeriodMicros > 1_000_000):
		return invalid("cpuPeriodMicros", fmt.Sprint(r.CPUPeriodMicros), "want 1000 to 1000000, or 0 for the default")
	case r.MemoryBytes < 0:
		return invalid("memoryBytes", fmt.Sprint(r.MemoryBytes), "want 0 or more")
	case r.PIDs < 0:
		return invalid("pids", fmt.Sprint(r.PIDs), "want 0 or more")
	}
	return nil
}

// SandboxSpec is what the containers of a pod share.
type SandboxSpec struct {
	Pod          string            `json:"pod"`       // the pod's UID
	Hostname     string            `json:"hostname"`  // not used with the host's network
	NetnsPath    string            `json:"netnsPath"` // a network namespace that is there and stays; empty for the host's
	SharePID     bool              `json:"sharePID"`
	HostPID      bool              `json:"hostPID"`
	HostIPC      bool              `json:"hostIPC"`
	QoS          string            `json:"qos"`          // the group between the host's and the pod's, like burstable; may be empty
	QoSResources Resources         `json:"qosResources"` // of that group from now on, this pod included
	Resources    Resources         `json:"resources"`    // of the pod, all containers together
	Sysctls      map[string]string `json:"sysctls"`      // of the pod's own namespaces only
	ShmBytes     int64             `json:"shmBytes"`     // of /dev/shm; 0 for ShmBytes
}

// HostNetwork says that the pod has no network namespace of its own.
func (s *SandboxSpec) HostNetwork() bool { return s.NetnsPath == "" }

// Validate says what is wrong with a spec.
func (s *SandboxSpec) Validate() error {
	switch {
	case !isUID(s.Pod):
		return invalid("pod", s.Pod, "want a UID: letters, digits and dashes, 63 at most")
	case s.Hostname != "" && !isHostname(s.Hostname):
		return invalid("hostname", s.Hostname, "want a host name of 64 characters at most")
	case s.QoS != "" && !isQoS(s.QoS):
		return invalid("qos", s.QoS, "want lower-case letters")
	case s.SharePID && s.HostPID:
		return invalid("sharePID", "true", "want false with hostPID")
	case s.ShmBytes < 0:
		return invalid("shmBytes", fmt.Sprint(s.ShmBytes), "want 0 or more")
	case len(s.Sysctls) > sysctlsMax:
		return invalid("sysctls", fmt.Sprint(len(s.Sysctls)), fmt.Sprintf("want %d at most", sysctlsMax))
	}
	if s.NetnsPath != "" {
		if err := hostPath("netnsPath", s.NetnsPath); err != nil {
			return err
		}
	}
	for name, value := range s.Sysctls {
		if err := s.validateSysctl(name, value); err != nil {
			return err
		}
	}
	if err := s.QoSResources.Validate(); err != nil {
		return err
	}
	return s.Resources.Validate()
}

func (s *SandboxSpec) validateSysctl(name, value string) error {
	dotted := strings.ReplaceAll(name, "/", ".")
	switch {
	case !isSysctl(name) || strings.Contains(value, "\n"):
		return invalid("sysctls", name, "want a name like net.ipv4.ip_forward and a value of one line")
	case strings.HasPrefix(dotted, "net."):
		if s.HostNetwork() {
			return invalid("sysctls", name, "want no net.* with the host's network")
		}
	case isIPCSysctl(dotted):
		if s.HostIPC {
			return invalid("sysctls", name, "want no such name with the host's IPC")
		}
	default:
		return invalid("sysctls", name, "want one of a namespace: net.*, kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*")
	}
	return nil
}

func isIPCSysctl(name string) bool {
	return strings.HasPrefix(name, "kernel.shm") || strings.HasPrefix(name, "kernel.msg") ||
		name == "kernel.sem" || strings.HasPrefix(name, "fs.mqueue.")
}

// What a Mount may be, as Mount.Kind.
const (
	MountBind  = "" // of Source, with what is mounted below it
	MountTmpfs = "tmpfs"
)

// Propagation of a Mount, as Kubernetes names it.
const (
	PropagationNone            = ""
	PropagationHostToContainer = "HostToContainer"
	PropagationBidirectional   = "Bidirectional" // privileged containers only
)

// Mount is one mount in a container. The target is made if it is not there.
type Mount struct {
	Kind        string `json:"kind,omitempty"`
	Source      string `json:"source,omitempty"`  // a path of the host
	SubPath     string `json:"subPath,omitempty"` // below Source; never leads out of it; a folder is made if nothing is there
	Target      string `json:"target"`
	ReadOnly    bool   `json:"readOnly,omitempty"`
	Propagation string `json:"propagation,omitempty"`
	SizeBytes   int64  `json:"sizeBytes,omitempty"` // of tmpfs; 0 is the kernel's choice
}

func (m *Mount) validate(privileged bool) error {
	if err := innerPath("target", m.Target); err != nil {
		return err
	}
	if path.Clean(m.Target) == "/" {
		return invalid("target", m.Target, "want a path below the root")
	}
	switch m.Kind {
	case MountTmpfs:
		if m.Source != "" || m.SubPath != "" || m.Propagation != "" || m.SizeBytes < 0 {
			return invalid("mount", m.Target, "want no source, subPath or propagation with tmpfs, and no negative size")
		}
		return nil
	case MountBind:
	default:
		return invalid("kind", m.Kind, `want "" (bind) or tmpfs`)
	}
	if err := hostPath("source", m.Source); err != nil {
		return err
	}
	if m.SubPath != "" && (!filepath.IsLocal(m.SubPath) || len(m.SubPath) > pathBytesMax || strings.Contains(m.SubPath, "\x00")) {
		return invalid("subPath", m.SubPath, "want a relative path without ..")
	}
	switch m.Propagation {
	case PropagationNone, PropagationHostToContainer:
	case PropagationBidirectional:
		if !privileged {
			return invalid("propagation", m.Propagation, "want a privileged container")
		}
	default:
		return invalid("propagation", m.Propagation, `want "", HostToContainer or Bidirectional`)
	}
	return nil
}

// Device is a device of the host given to a container.
type Device struct {
	HostPath    string `json:"hostPath"`
	Path        string `json:"path"`
	Permissions string `json:"permissions"` // of r, w and m
}

// ContainerSpec is one run of a container.
type ContainerSpec struct {
	ID              ID        `json:"id"`
	Target          ID        `json:"target,omitzero"` // the run of this pod whose processes it is among; no name for its own alone
	Rootfs          string    `json:"rootfs"`          // a folder ready to be the root, of this run alone
	Args            []string  `json:"args"`
	Env             []string  `json:"env"`
	Cwd             string    `json:"cwd"` // "/" if empty; made if it is not there
	UID             uint32    `json:"uid"`
	GID             uint32    `json:"gid"`
	Groups          []uint32  `json:"groups"`
	Capabilities    []string  `json:"capabilities"` // exactly these, like CAP_CHOWN; see Capabilities
	ReadonlyRootfs  bool      `json:"readonlyRootfs"`
	NoNewPrivileges bool      `json:"noNewPrivileges"`
	Privileged      bool      `json:"privileged"` // every capability and device of the host, nothing masked
	UnmaskedProc    bool      `json:"unmaskedProc"`
	Unconfined      bool      `json:"unconfined"` // by no filter of system calls; so is a privileged one
	Mounts          []Mount   `json:"mounts"`     // in order
	Devices         []Device  `json:"devices"`
	Resources       Resources `json:"resources"`
	OOMScoreAdj     int       `json:"oomScoreAdj"` // raised to what the host allows
	TTY             bool      `json:"tty"`
	Stdin           bool      `json:"stdin"`       // else it reads an end of file
	StdinOnce       bool      `json:"stdinOnce"`   // the end of the first attach is the end of stdin
	LogPath         string    `json:"logPath"`     // empty for none
	LogBytesMax     int64     `json:"logBytesMax"` // of one file; 0 for no rotation
	LogFiles        int       `json:"logFiles"`
}

// Validate says what is wrong with a spec.
func (s *ContainerSpec) Validate() error {
	if err := s.ID.Validate(); err != nil {
		return err
	}
	if s.Target.Name != "" {
		if err := s.Target.Validate(); err != nil {
			return err
		}
		if s.Target.Pod != s.ID.Pod || s.Target == s.ID {
			return invalid("target", s.Target.String(), "want another container of the pod")
		}
	}
	if err := hostPath("rootfs", s.Rootfs); err != nil {
		return err
	}
	if err := validateCommand(s.Args, s.Env); err != nil {
		return err
	}
	if s.Cwd != "" {
		if err := innerPath("cwd", s.Cwd); err != nil {
			return err
		}
	}
	if s.LogPath != "" {
		if err := hostPath("logPath", s.LogPath); err != nil {
			return err
		}
	}
	for _, c := range s.Capabilities {
		if !isCapability(c) {
			return invalid("capabilities", c, "want a name like CAP_CHOWN")
		}
	}
	switch {
	case len(s.Mounts) > MountsMax:
		return invalid("mounts", fmt.Sprint(len(s.Mounts)), fmt.Sprintf("want %d at most", MountsMax))
	case len(s.Groups) > groupsMax:
		return invalid("groups", fmt.Sprint(len(s.Groups)), fmt.Sprintf("want %d at most", groupsMax))
	case s.OOMScoreAdj < -1000 || s.OOMScoreAdj > 1000:
		return invalid("oomScoreAdj", fmt.Sprint(s.OOMScoreAdj), "want -1000 to 1000")
	case s.LogBytesMax < 0 || s.LogFiles < 0:
		return invalid("logBytesMax", fmt.Sprint(s.LogBytesMax, s.LogFiles), "want no negative number")
	}
	for i := range s.Mounts {
		if err := s.Mounts[i].validate(s.Privileged); err != nil {
			return err
		}
	}
	for _, d := range s.Devices {
		if err := d.validate(); err != nil {
			return err
		}
	}
	return s.Resources.Validate()
}

func (d *Device) validate() error {
	if err := hostPath("hostPath", d.HostPath); err != nil {
		return err
	}
	if err := innerPath("path", d.Path); err != nil {
		return err
	}
	if d.Permissions == "" || strings.Trim(d.Permissions, "rwm") != "" {
		return invalid("permissions", d.Permissions, "want of r, w and m")
	}
	return nil
}

// ExecSpec is a further process in a container, run as its user and with its
// environment.
type ExecSpec struct {
	ID     ID       `json:"id"`
	Args   []string `json:"args"`
	Env    []string `json:"env"` // over the container's
	TTY    bool     `json:"tty"`
	Width  uint16   `json:"width"` // of the terminal, to begin with
	Height uint16   `json:"height"`
}

// Validate says what is wrong with a spec.
func (s *ExecSpec) Validate() error {
	if err := s.ID.Validate(); err != nil {
		return err
	}
	return validateCommand(s.Args, s.Env)
}

func validateCommand(args, env []string) error {
	if len(args) == 0 {
		return &Error{Kind: KindStart, Text: "no command specified"}
	}
	size := 0
	// Values are not quoted: they may be secret, and the error is for events.
	for i, s := range args {
		if size += len(s) + 1; strings.Contains(s, "\x00") {
			return &Error{Kind: KindInvalid, Text: fmt.Sprintf("args[%d]: want no zero byte", i)}
		}
	}
	for _, s := range env {
		if size += len(s) + 1; strings.Contains(s, "\x00") || strings.IndexByte(s, '=') < 1 {
			name, _, _ := strings.Cut(s, "=")
			return invalid("env", name, "want NAME=value, without a zero byte")
		}
	}
	if size > ArgsBytesMax {
		return invalid("args", fmt.Sprint(size, " bytes"), fmt.Sprintf("want %d bytes at most, environment included", ArgsBytesMax))
	}
	return nil
}

func hostPath(field, p string) error {
	if !filepath.IsAbs(p) || filepath.Clean(p) != p || len(p) > pathBytesMax || strings.ContainsAny(p, "\x00\n") {
		return invalid(field, p, "want a clean absolute path of the host")
	}
	return nil
}

func innerPath(field, p string) error {
	if !path.IsAbs(p) || len(p) > pathBytesMax || strings.ContainsAny(p, "\x00\n") {
		return invalid(field, p, "want an absolute path in the container")
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." {
			return invalid(field, p, "want a path without ..")
		}
	}
	return nil
}
