package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/live/agent/container"
	"seatrial.dev/seatrial/live/agent/volume"
	"seatrial.dev/seatrial/live/image"
	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/nodeagent"
	"seatrial.dev/seatrial/nodeagent/inject"
)

// The message that a container may leave at its end, as with the kubelet.
const (
	messagePath         = "/dev/termination-log"
	messageBytesMax     = 4096
	messageLogBytesMax  = 2048
	messageLogLinesMax  = 80
	messageLogTailBytes = 64 << 10 // of the log that is looked at
)

// createError and configError begin what nodeagent shows as a container that was not
// created.
const (
	createError = "CreateContainerError: "
	configError = "CreateContainerConfigError: "
)

// statusID is what a container's run is called in its pod's status.
func statusID(id nodeagent.ContainerID) string {
	return fmt.Sprintf("seatrial://%s_%s_%d", id.Pod, id.Name, id.Run)
}

// mountID is what its root file system is called in the image store.
func mountID(id nodeagent.ContainerID) string {
	return fmt.Sprintf("%s-%s-%d", id.Pod, id.Name, id.Run)
}

func (a *Agent) logPath(pod *corev1.Pod, id nodeagent.ContainerID) string {
	return filepath.Join(a.logDir(pod), id.Name, strconv.Itoa(int(id.Run))+".log")
}

func (a *Agent) messageFile(id nodeagent.ContainerID) string {
	return filepath.Join(a.podDir(id.Pod), "messages", fmt.Sprintf("%s.%d", id.Name, id.Run))
}

func (a *Agent) startContainer(ctx context.Context, p *pod, e nodeagent.StartContainer) nodeagent.ContainerStarted {
	out := nodeagent.ContainerStarted{ID: e.ID, RuntimeID: statusID(e.ID)}
	a.removeRun(ctx, e.Pod, nodeagent.ContainerID{Pod: e.ID.Pod, Name: e.ID.Name, Run: e.ID.Run - 2})
	var err error
	if out.ImageID, err = a.start(ctx, p, e); err != nil {
		out.Err = err.Error()
		if err := a.images.Unmount(mountID(e.ID)); err != nil {
			a.log("unmount %s: %v", mountID(e.ID), err)
		}
		return out
	}
	p.started(e.ID.Name, e.ID.Run)
	return out
}

// start makes a container of its image and starts it.
func (a *Agent) start(ctx context.Context, p *pod, e nodeagent.StartContainer) (imageID string, err error) {
	if err := a.host.Refused(e.Pod, e.Container); err != nil {
		return "", errors.New(configError + err.Error())
	}
	im, err := a.images.Find(e.Container.Image)
	if err != nil {
		return "", errors.New(createError + err.Error())
	}
	env, err := a.environment(ctx, e.Pod, e.Container, p.address())
	if err != nil {
		return "", errors.New(configError + err.Error())
	}
	g := &container.Given{Pod: e.Pod, Container: e.Container, ID: runtimeID(e.ID), Image: im.Run, Env: env,
		MemoryBytes: a.memory, LogPath: a.logPath(e.Pod, e.ID), LogBytesMax: DefaultLogBytes, LogFiles: DefaultLogFiles}
	if g.Volumes, err = volume.Mounts(a.volumesDir(e.ID.Pod), e.Pod, e.Container, env.Get); err != nil {
		return "", errors.New(configError + err.Error())
	}
	if g.Files, g.Hostname, err = a.ownFiles(e); err != nil {
		return "", errors.New(createError + err.Error())
	}
	if g.Rootfs, err = a.images.Mount(im.Digest, mountID(e.ID)); err != nil {
		return "", errors.New(createError + err.Error())
	}
	spec, err := container.Spec(g, func(name string) (image.User, error) { return image.ResolveUser(g.Rootfs, name) })
	if err != nil {
		return "", errors.New(configError + err.Error())
	}
	if e.Target.Name != "" {
		spec.Target = runtimeID(e.Target)
	}
	_, err = a.runtime.StartContainer(ctx, spec)
	if err != nil && runtime.KindOf(err) != runtime.KindStart {
		return "", errors.New(createError + err.Error())
	}
	imageID = im.ID
	if len(im.Digests) > 0 {
		imageID = im.Digests[0]
	}
	return imageID, err
}

// ownFiles are the files that a container has of its pod, and one for its last words.
func (a *Agent) ownFiles(e nodeagent.StartContainer) (files map[string]string, hostname string, err error) {
	etc := filepath.Join(a.podDir(e.ID.Pod), "etc")
	message := a.messageFile(e.ID)
	if err := os.WriteFile(message, nil, 0o666); err != nil {
		return nil, "", err
	}
	if err := os.Chmod(message, 0o666); err != nil { // whatever the umask
		return nil, "", err
	}
	if err := os.MkdirAll(filepath.Dir(a.logPath(e.Pod, e.ID)), 0o700); err != nil {
		return nil, "", err
	}
	name, err := os.ReadFile(filepath.Join(etc, "hostname"))
	if err != nil {
		return nil, "", err
	}
	at := e.Container.TerminationMessagePath
	if at == "" {
		at = messagePath
	}
	files = map[string]string{at: message}
	for _, f := range []string{"hosts", "hostname", "resolv.conf"} {
		files["/etc/"+f] = filepath.Join(etc, f)
	}
	return files, strings.TrimSpace(string(name)), nil
}

// about is what a pod's containers may be told of it.
func (a *Agent) about(pod *corev1.Pod, ip string) *inject.About {
	host := a.cfg.NodeIP.String()
	if pod.Spec.HostNetwork {
		ip = host
	}
	out := &inject.About{Pod: pod, HostIPs: []string{host}, Allocatable: a.services.allocatable}
	if ip != "" {
		out.PodIPs = []string{ip}
	}
	return out
}

func (a *Agent) environment(ctx context.Context, pod *corev1.Pod, c *corev1.Container, ip string) (*inject.Env, error) {
	services, err := a.services.of(pod)
	if err != nil {
		return nil, err
	}
	objects, err := a.objects(ctx, pod, inject.EnvWanted(c))
	if err != nil {
		return nil, err
	}
	return inject.MakeEnv(a.about(pod, ip), c, objects, services)
}

// kill asks a container to end by its own signal.
func (a *Agent) kill(ctx context.Context, e nodeagent.KillContainer) {
	signal := a.stopSignal(e.ID)
	if e.Grace <= 0 {
		signal = unix.SIGKILL
	}
	err := a.runtime.Kill(ctx, runtimeID(e.ID), signal, e.Grace)
	if err != nil && runtime.KindOf(err) != runtime.KindGone {
		a.log("kill %s: %v", runtimeID(e.ID), err)
	}
}

// stopSignal is the container's, or its image's, or TERM.
func (a *Agent) stopSignal(id nodeagent.ContainerID) syscall.Signal {
	pod := a.pods.of(id.Pod).seen()
	if pod == nil {
		return unix.SIGTERM
	}
	c := containerOf(pod, id.Name)
	name := ""
	if c.Lifecycle != nil && c.Lifecycle.StopSignal != nil {
		name = string(*c.Lifecycle.StopSignal)
	} else if im, err := a.images.Find(c.Image); err == nil {
		name = im.Run.StopSignal
	}
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n < 65 {
		return syscall.Signal(n)
	}
	name = strings.ToUpper(name)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if s := unix.SignalNum(name); s != 0 {
		return s
	}
	return unix.SIGTERM
}

// exit takes what the runtime tells of the end of a run, or of a sandbox.
func (a *Agent) exit(x runtime.Exit) {
	id := nodeagent.ContainerID{Pod: toUID(x.ID.Pod), Name: x.ID.Name, Run: int32(x.ID.Run)}
	if found := a.adoptable[id.Pod]; found != nil {
		a.exitBefore(found, id, x)
		return
	}
	p := a.pods.of(id.Pod)
	a.queue(p, func(ctx context.Context) {
		if p.sandbox && (id.Name == "" || x.Lost) {
			p.sandbox = false
			a.tell(nodeagent.SandboxLost{Pod: id.Pod})
		}
		if id.Name == "" {
			return
		}
		in := a.exited(p.seen(), id, x)
		if err := a.images.Unmount(mountID(id)); err != nil {
			a.log("unmount %s: %v", mountID(id), err)
		}
		a.tell(in)
	})
}

// exited is an exit with what the container has left to say.
func (a *Agent) exited(pod *corev1.Pod, id nodeagent.ContainerID, x runtime.Exit) nodeagent.ContainerExited {
	in := nodeagent.ContainerExited{ID: id, ExitCode: int32(x.Code), Signal: int32(x.Signal)}
	switch {
	case x.OOMKilled:
		in.Reason = "OOMKilled"
	case x.Lost:
		in.Reason = "ContainerStatusUnknown"
	}
	if pod == nil {
		return in
	}
	c := containerOf(pod, id.Name)
	in.Message = readHead(a.messageFile(id), messageBytesMax)
	if in.Message == "" && x.Code != 0 && c.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError {
		in.Message = lastWords(a.logPath(pod, id))
	}
	return in
}

func readHead(file string, most int64) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	raw, _ := io.ReadAll(io.LimitReader(f, most)) // what came, came
	return strings.ToValidUTF8(string(raw), "\uFFFD")
}

// lastWords is the end of a log, without what the log's format adds.
func lastWords(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > messageLogTailBytes {
		if _, err := f.Seek(-messageLogTailBytes, io.SeekEnd); err != nil {
			return ""
		}
	}
	raw, _ := io.ReadAll(io.LimitReader(f, messageLogTailBytes))
	var b strings.Builder
	lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	for _, line := range lines[max(0, len(lines)-messageLogLinesMax):] {
		// time stream P|F text
		if parts := strings.SplitN(line, " ", 4); len(parts) == 4 {
			b.WriteString(parts[3])
			if parts[2] == "F" {
				b.WriteByte('\n')
			}
		}
	}
	text := strings.ToValidUTF8(b.String(), "\uFFFD")
	return text[max(0, len(text)-messageLogBytesMax):]
}

// removeRun forgets a run that nobody can ask for any more: of each container the last
// two are kept.
func (a *Agent) removeRun(ctx context.Context, pod *corev1.Pod, id nodeagent.ContainerID) {
	if id.Run < 0 {
		return
	}
	if err := a.runtime.Remove(ctx, runtimeID(id)); err != nil && runtime.KindOf(err) != runtime.KindGone {
		a.log("remove %s: %v", runtimeID(id), err)
	}
	for _, file := range []string{a.messageFile(id), a.logPath(pod, id)} {
		_ = os.Remove(file) // a run that never began has none
	}
}
