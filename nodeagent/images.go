package nodeagent

import (
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// images is what the agent knows of the node's image store.
type images struct {
	present map[string]int64 // size in bytes by name, with a tag or a digest
	pulls   []*pull          // under way or queued, in the order asked for
	out     int              // those under way
}

// pull is one PullImage and who waits for it.
type pull struct {
	name    string // as in images.present
	effect  PullImage
	out     bool // under way
	waiting []waiter
}

type waiter struct {
	p     *pod
	c     *container
	count int // the container's pullCount when it asked
}

// imageName completes a reference with the tag that is meant when there is none;
// ok is false if it is no valid reference.
func imageName(image string) (name string, ok bool) {
	if image == "" || strings.ContainsAny(image, " \t\n\\\"'<>|?*&%#!;,{}[]()=^~`$") {
		return image, false
	}
	path := image
	if at := strings.IndexByte(image, '@'); at >= 0 {
		path = image[:at]
		digest := image[at+1:]
		if colon := strings.IndexByte(digest, ':'); colon <= 0 || len(digest)-colon-1 < 32 {
			return image, false
		}
	}
	slash := strings.LastIndexByte(path, '/')
	repo, tag, tagged := strings.Cut(path[slash+1:], ":")
	repo = path[:slash+1] + repo
	if i := strings.IndexByte(repo, '/'); i >= 0 && strings.ContainsAny(repo[:i], ".:") {
		repo = repo[i+1:] // the registry's name may have capitals
	}
	if repo == "" || repo != strings.ToLower(repo) || strings.Contains(repo, "//") || strings.HasPrefix(repo, "/") || strings.HasSuffix(repo, "/") ||
		strings.Contains(repo, ":") || tagged && tag == "" || strings.ContainsAny(tag, ":") {
		return image, false
	}
	if !tagged && len(path) == len(image) {
		return image + ":latest", true
	}
	return image, true
}

// ensureImage says whether a container's image is there to start from. If not, it
// has asked for it, or has said why it will not.
func (a *Agent) ensureImage(p *pod, c *container) bool {
	image := c.spec.Image
	name, ok := imageName(image)
	if !ok {
		a.imageFailed(p, c, "InspectFailed", reasonInvalidImage, "Failed to apply default image tag "+strconv.Quote(image)+
			": couldn't parse image name "+strconv.Quote(image)+": invalid reference format")
		return false
	}
	_, present := a.images.present[name]
	policy := pullPolicy(c.spec)
	switch {
	case present && policy != corev1.PullAlways:
		a.sayNormal(p, c, "Pulled", "Container image "+strconv.Quote(image)+" already present on machine and can be accessed by the pod")
		c.pullError = ""
		return true
	case policy == corev1.PullNever:
		a.imageFailed(p, c, reasonImageNeverPull, reasonImageNeverPull, "Container image "+strconv.Quote(image)+" is not present with pull policy of Never")
		return false
	}
	a.sayNormal(p, c, "Pulling", "Pulling image "+strconv.Quote(image))
	c.state, c.pullSince, p.starting = containerPulling, a.now, c
	c.pullCount++
	a.askPull(waiter{p, c, c.pullCount}, name, policy == corev1.PullAlways)
	return false
}

// pullPolicy is the container's, or the one that the API server would have set.
func pullPolicy(c *corev1.Container) corev1.PullPolicy {
	if c.ImagePullPolicy != "" {
		return c.ImagePullPolicy
	}
	if name, _ := imageName(c.Image); strings.HasSuffix(name, ":latest") {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

// askPull queues a pull, or joins one of the same image that is not done. With
// the policy Always each pod pulls for itself, so that each is checked against
// the registry.
func (a *Agent) askPull(w waiter, name string, always bool) {
	if !always {
		for _, q := range a.images.pulls {
			if q.name == name {
				q.waiting = append(q.waiting, w)
				return
			}
		}
	}
	q := &pull{name: name, effect: PullImage{Image: w.c.spec.Image, Pod: w.p.uid, Namespace: w.p.api.Namespace}, waiting: []waiter{w}}
	for _, s := range w.p.api.Spec.ImagePullSecrets {
		q.effect.Secrets = append(q.effect.Secrets, s.Name)
	}
	a.images.pulls = append(a.images.pulls, q)
	a.sendPulls()
}

// sendPulls lets as many pulls out as the limit allows. Those that nobody waits
// for any more are dropped.
func (a *Agent) sendPulls() {
	kept := a.images.pulls[:0]
	for _, q := range a.images.pulls {
		if !q.out && !q.wanted() {
			continue
		}
		if !q.out && (a.cfg.ParallelPullsMax == 0 || a.images.out < a.cfg.ParallelPullsMax) {
			q.out = true
			a.images.out++
			a.do(q.effect)
		}
		kept = append(kept, q)
	}
	clear(a.images.pulls[len(kept):])
	a.images.pulls = kept
}

func (q *pull) wanted() bool {
	return slices.ContainsFunc(q.waiting, func(w waiter) bool { return w.waits() })
}

// waits says whether a container still wants its image.
func (w waiter) waits() bool {
	return w.p.starting == w.c && w.c.state == containerPulling && w.count == w.c.pullCount && w.p.stage == stageRun
}

func (a *Agent) imagePulled(in ImagePulled) {
	i := slices.IndexFunc(a.images.pulls, func(q *pull) bool {
		return q.out && q.effect.Image == in.Image && q.effect.Pod == in.Pod
	})
	if i < 0 {
		return
	}
	q := a.images.pulls[i]
	a.images.pulls = slices.Delete(a.images.pulls, i, i+1)
	a.images.out--
	if in.Err == "" {
		a.haveImage(q.name, in.SizeBytes)
	}
	for i, w := range q.waiting {
		if !w.waits() {
			continue
		}
		if in.Err == "" {
			a.pulled(w, in, i == 0)
		} else {
			a.pullFailed(w, in.Err)
		}
		a.sync(w.p)
	}
	a.sendPulls()
}

func (a *Agent) haveImage(name string, sizeBytes int64) {
	if size, ok := a.images.present[name]; ok && size == sizeBytes {
		return
	}
	if a.images.present == nil {
		a.images.present = map[string]int64{}
	}
	a.images.present[name] = sizeBytes
	a.nodeImage(name, sizeBytes)
}

// pulled goes on with a container whose image has come. asker says that the pull
// was its own; others have waited for a part of it.
func (a *Agent) pulled(w waiter, in ImagePulled, asker bool) {
	took, waited := in.Took.Truncate(time.Millisecond), a.now.Sub(w.c.pullSince).Truncate(time.Millisecond)
	if !asker {
		took = min(took, waited)
	}
	a.sayNormal(w.p, w.c, "Pulled", "Successfully pulled image "+strconv.Quote(w.c.spec.Image)+" in "+took.String()+
		" ("+max(took, waited).String()+" including waiting). Image size: "+strconv.FormatInt(in.SizeBytes, 10)+" bytes.")
	w.c.pullError, w.c.pull = "", backoff{}
	a.launch(w.p, w.c)
}

// pullFailed shows the failure, and Relist later the back-off.
func (a *Agent) pullFailed(w waiter, message string) {
	p, c := w.p, w.c
	a.sayWarning(p, c, "Failed", "Failed to pull image "+strconv.Quote(c.spec.Image)+": "+message)
	a.imageFailed(p, c, "", reasonErrImagePull, message)
	c.pullError = message
	c.pull.next(a.now, a.now, a.cfg.ImageBackoff, a.cfg.ImageBackoffMax)
	c.notBefore, c.settleAt = a.now.Add(c.pull.delay), a.now.Add(a.cfg.Relist)
}

func (a *Agent) settlePull(p *pod, c *container) {
	message := "Back-off pulling image " + strconv.Quote(c.spec.Image)
	c.waiting = &corev1.ContainerStateWaiting{Reason: reasonImageBackOff, Message: message + ": " + reasonErrImagePull + ": " + c.pullError}
	a.sayNormal(p, c, "BackOff", message)
	a.sayWarning(p, c, "Failed", "Error: "+reasonImageBackOff)
}

// imageFailed leaves a container waiting for an image that cannot be had. event
// is the reason of the first event; empty is none.
func (a *Agent) imageFailed(p *pod, c *container, event, reason, message string) {
	if event != "" {
		a.sayWarning(p, c, event, message)
	}
	a.sayWarning(p, c, "Failed", "Error: "+reason)
	p.unstart(c)
	c.crashSeen = true
	c.notBefore = a.now.Add(a.cfg.Resync)
	c.waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: message}
	p.dirty = true
}

// imagesSeen takes over what the host has now, for pods to come: a container that
// waits for its image looks at its own time.
func (a *Agent) imagesSeen(in ImagesSeen) {
	if a.node.template == nil {
		return
	}
	a.knownImages(in.Images)
	n := &a.node
	n.images = slices.Clone(in.Images)
	slices.SortStableFunc(n.images, largerImage)
	n.dirty = true
	a.syncNode()
}

// knownImages takes over the images that the node's template says are there.
func (a *Agent) knownImages(list []corev1.ContainerImage) {
	a.images.present = make(map[string]int64, len(list))
	for i := range list {
		for _, n := range list[i].Names {
			if name, ok := imageName(n); ok {
				a.images.present[name] = list[i].SizeBytes
			}
		}
	}
}
