package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/nodeagent"
)

func toUID(s string) types.UID { return types.UID(s) }

// adopt finds what an earlier process has left: sandboxes that run are offered to the
// agent once the API tells of their pods, all else is swept when it has told of all.
func (a *Agent) adopt(ctx context.Context) error {
	list, err := a.runtime.List(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		r := &list[i]
		uid := toUID(r.Spec.Pod)
		a.leave(uid)
		k, err := a.readKept(uid)
		if err != nil {
			a.log("pod %s: what was written down of it cannot be read, so it is not adopted: %v", uid, err)
			continue
		}
		if !r.Ready {
			continue
		}
		p := a.pods.of(uid)
		p.sandbox, p.touched, p.ip, p.up = true, true, k.IP, true
		a.adoptable[uid] = a.found(k, r, p)
	}
	for _, dir := range []string{"pods", "logs"} {
		entries, err := os.ReadDir(filepath.Join(a.cfg.DataDir, dir))
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := e.Name()
			a.leave(toUID(name[strings.LastIndexByte(name, '_')+1:]))
		}
	}
	return nil
}

func (a *Agent) leave(uid types.UID) {
	if !slices.Contains(a.leftovers, uid) {
		a.leftovers = append(a.leftovers, uid)
	}
}

func (a *Agent) readKept(uid types.UID) (k kept, err error) {
	raw, err := os.ReadFile(filepath.Join(a.podDir(uid), "pod.json"))
	if err != nil {
		return k, err
	}
	return k, json.Unmarshal(raw, &k)
}

// found is a pod of the runtime with the last run of each of its containers.
func (a *Agent) found(k kept, r *runtime.Pod, p *pod) *nodeagent.Adopted {
	out := &nodeagent.Adopted{Pod: p.uid, IP: k.IP}
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name, pod.UID = k.Namespace, k.Name, p.uid
	for i := range r.Containers {
		c := &r.Containers[i]
		id := nodeagent.ContainerID{Pod: p.uid, Name: c.ID.Name, Run: int32(c.ID.Run)}
		next := nodeagent.AdoptedContainer{ID: id, RuntimeID: statusID(id), StartedAt: c.Started}
		if c.Exit != nil {
			x := a.exited(pod, id, *c.Exit)
			next.Exit, next.FinishedAt = &x, c.Exit.Finished
		}
		at := slices.IndexFunc(out.Containers, func(o nodeagent.AdoptedContainer) bool { return o.ID.Name == id.Name })
		switch {
		case at < 0:
			out.Containers = append(out.Containers, next)
		case out.Containers[at].ID.Run < id.Run:
			out.Containers[at] = next
		default:
			continue
		}
		p.running[id.Name] = id.Run
	}
	return out
}

// exitBefore notes an exit of a pod of which the API has not told yet.
func (a *Agent) exitBefore(found *nodeagent.Adopted, id nodeagent.ContainerID, x runtime.Exit) {
	if id.Name == "" {
		delete(a.adoptable, id.Pod) // its sandbox is lost: it is made anew, and what was is cleared away
		return
	}
	for i := range found.Containers {
		c := &found.Containers[i]
		if c.ID == id && c.Exit == nil {
			pod := &corev1.Pod{}
			if k, err := a.readKept(id.Pod); err == nil {
				pod.Namespace, pod.Name, pod.UID = k.Namespace, k.Name, id.Pod
			}
			in := a.exited(pod, id, x)
			c.Exit, c.FinishedAt = &in, x.Finished
		}
	}
}

// allSeen is called when the API has told of all pods of this node. Of what was left on
// the host it removes all that belongs to none of them.
func (a *Agent) allSeen() {
	if a.listed {
		return
	}
	a.listed = true
	known := map[types.UID]bool{}
	for _, uid := range a.seen {
		known[uid] = true
	}
	for _, uid := range a.leftovers {
		if known[uid] {
			continue
		}
		delete(a.adoptable, uid)
		p := a.pods.of(uid)
		a.queue(p, func(ctx context.Context) {
			a.stopSandbox(ctx, p)
			if err := a.removeLogs(uid); err != nil {
				a.log("remove the logs of pod %s: %v", uid, err)
			}
			a.pods.drop(p)
		})
	}
	a.leftovers = nil
	a.tasks.Go(func() { a.sweep(a.ctx, known) })
}

func (a *Agent) removeLogs(uid types.UID) error {
	list, err := filepath.Glob(filepath.Join(a.cfg.DataDir, "logs", "*_"+string(uid)))
	if err != nil {
		return err
	}
	for _, dir := range list {
		if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// sweep removes what belongs to no pod at all.
func (a *Agent) sweep(ctx context.Context, known map[types.UID]bool) {
	if _, err := a.runtime.Sweep(ctx); err != nil && ctx.Err() == nil {
		a.log("sweep the runtime: %v", err)
	}
	mounts, err := a.images.Mounts()
	if err != nil {
		a.log("sweep the mounts of images: %v", err)
		return
	}
	own := filepath.Join(a.cfg.DataDir, "containers")
	for _, m := range mounts {
		if filepath.Dir(m.Dir) != own || a.pods.isKnown(m.ID) {
			continue
		}
		if err := a.images.Unmount(m.ID); err != nil {
			a.log("sweep: %v", err)
		}
	}
}
