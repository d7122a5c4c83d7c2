package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"seatrial.dev/seatrial/live/tree"
	"seatrial.dev/seatrial/nodeagent"
)

const (
	// usageEvery is how often the disk usage of pods with a limit is added up.
	usageEvery = 10 * time.Second
	// usageFilesMax is how many files are counted of one folder.
	usageFilesMax = 1_000_000
)

// watchUsage evicts pods that have used more of the disk than they may.
func (a *Agent) watchUsage(ctx context.Context) {
	for sleep(ctx, usageEvery) {
		for _, p := range a.pods.all() {
			api := p.seen()
			if api == nil || p.gone.Load() || api.DeletionTimestamp != nil {
				continue
			}
			message, err := a.overuse(p, api)
			if err != nil {
				a.log("usage of %s/%s: %v", api.Namespace, api.Name, err)
			}
			if message != "" {
				a.tell(nodeagent.Evict{Pod: p.uid, Message: message})
			}
		}
	}
}

// overuse says, in the kubelet's words, which limit of the disk a pod is over; empty if
// it is over none. What has no limit is not looked at. One whose usage cannot be told, since
// its folders are too deep, is over it: else that would be the way around every limit.
func (a *Agent) overuse(p *pod, api *corev1.Pod) (string, error) {
	var all int64
	limit, limited := diskLimit(api)
	for i := range api.Spec.Volumes {
		v := &api.Spec.Volumes[i]
		if v.EmptyDir == nil || v.EmptyDir.Medium != corev1.StorageMediumDefault {
			continue
		}
		most := v.EmptyDir.SizeLimit
		if own := most != nil && most.Sign() > 0; !own && !limited {
			continue
		}
		used, err := tree.Usage(filepath.Join(a.volumesDir(p.uid), v.Name), usageFilesMax)
		if errors.Is(err, tree.ErrTooDeep) {
			return fmt.Sprintf("Usage of EmptyDir volume %q cannot be told: %v. ", v.Name, tree.ErrTooDeep), nil
		}
		if err != nil {
			return "", err
		}
		if most != nil && most.Sign() > 0 && used > most.Value() {
			return fmt.Sprintf("Usage of EmptyDir volume %q exceeds the limit %q. ", v.Name, most.String()), nil
		}
		all += used
	}
	if !limited {
		return "", nil
	}
	for _, c := range containersOf(api) {
		used, err := a.containerUsage(p, api, c.Name)
		if errors.Is(err, tree.ErrTooDeep) {
			return fmt.Sprintf("Usage of local ephemeral storage by container %s cannot be told: %v. ", c.Name, tree.ErrTooDeep), nil
		}
		if err != nil {
			return "", err
		}
		if most, ok := c.Resources.Limits[corev1.ResourceEphemeralStorage]; ok && used > most.Value() {
			return fmt.Sprintf("Container %s exceeded its local ephemeral storage limit %q. ", c.Name, most.String()), nil
		}
		all += used
	}
	if all > limit.Value() {
		return fmt.Sprintf("Pod ephemeral local storage usage exceeds the total limit of containers %s. ", limit.String()), nil
	}
	return "", nil
}

// diskLimit is what a pod's containers may use together, if any of them has a limit: the
// greater of what its containers, and any init container, may.
func diskLimit(api *corev1.Pod) (sum resource.Quantity, limited bool) {
	for i := range api.Spec.Containers {
		if q, ok := api.Spec.Containers[i].Resources.Limits[corev1.ResourceEphemeralStorage]; ok {
			sum.Add(q)
			limited = true
		}
	}
	for i := range api.Spec.InitContainers {
		if q, ok := api.Spec.InitContainers[i].Resources.Limits[corev1.ResourceEphemeralStorage]; ok {
			if q.Cmp(sum) > 0 {
				sum = q.DeepCopy()
			}
			limited = true
		}
	}
	return sum, limited
}

// containerUsage is what a container has written into its root file system and its logs.
func (a *Agent) containerUsage(p *pod, api *corev1.Pod, name string) (int64, error) {
	p.mu.Lock()
	run, ok := p.running[name]
	p.mu.Unlock()
	if !ok {
		return 0, nil
	}
	id := nodeagent.ContainerID{Pod: p.uid, Name: name, Run: run}
	written, err := tree.Usage(filepath.Join(a.cfg.DataDir, "containers", mountID(id), "upper"), usageFilesMax)
	if err != nil {
		return 0, err
	}
	logs, err := tree.Usage(filepath.Join(a.logDir(api), name), usageFilesMax)
	return written + logs, err
}
