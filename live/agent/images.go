package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/live/client"
	"seatrial.dev/seatrial/live/image"
	"seatrial.dev/seatrial/nodeagent"
)

// imagesNow lists the store's images under every spelling of their names.
func (a *Agent) imagesNow() ([]corev1.ContainerImage, error) {
	if info, err := os.Stat(a.imageIndex()); err == nil {
		a.imagesAt = info.ModTime()
	}
	list, err := a.images.List()
	if err != nil {
		return nil, err
	}
	out := make([]corev1.ContainerImage, 0, len(list))
	for _, im := range list {
		var names []string
		for _, n := range im.Names {
			names = append(names, spellings(n)...)
		}
		names = append(names, im.Digests...)
		out = append(out, corev1.ContainerImage{Names: names, SizeBytes: im.Bytes})
	}
	return out, nil
}

// imageIndex is the store's file that changes with every image (see package image).
func (a *Agent) imageIndex() string { return filepath.Join(a.cfg.ImageDir, "index.json") }

// lookAtImages tells the agent of images that others have brought or taken away.
func (a *Agent) lookAtImages() {
	info, err := os.Stat(a.imageIndex())
	if err != nil || info.ModTime().Equal(a.imagesAt) {
		return
	}
	list, err := a.imagesNow()
	if err != nil {
		a.log("look at the images: %v", err)
		return
	}
	a.input(nodeagent.ImagesSeen{Images: list})
}

// spellings are the ways to write a canonical name.
func spellings(name string) []string {
	out := []string{name}
	if rest, ok := strings.CutPrefix(name, "docker.io/"); ok {
		out = append(out, rest)
		if rest, ok = strings.CutPrefix(rest, "library/"); ok {
			out = append(out, rest, "docker.io/"+rest)
		}
	}
	return out
}

func (a *Agent) pull(ctx context.Context, e nodeagent.PullImage) nodeagent.ImagePulled {
	began := time.Now()
	out := nodeagent.ImagePulled{Image: e.Image, Pod: e.Pod}
	im, err := a.pullImage(ctx, e)
	out.Took = time.Since(began)
	if err != nil {
		out.Err = err.Error()
		return out
	}
	out.SizeBytes = im.Bytes
	return out
}

func (a *Agent) pullImage(ctx context.Context, e nodeagent.PullImage) (image.Image, error) {
	if a.cfg.NoRegistry {
		im, err := a.images.Find(e.Image)
		if err != nil {
			err = fmt.Errorf("%w, which asks no registry", err)
		}
		return im, err
	}
	if p := a.pods.of(e.Pod).seen(); p != nil && !alwaysPulls(p, e.Image) {
		// Another host that shares the store may have brought it.
		if im, err := a.images.Find(e.Image); err == nil {
			return im, nil
		}
	}
	var credentials image.Credentials
	for _, name := range e.Secrets {
		more, err := a.pullSecret(ctx, kinds.Key{Namespace: e.Namespace, Name: name})
		if err != nil {
			a.log("pull secret %s/%s: %v", e.Namespace, name, err) // the image may do without
			continue
		}
		credentials = credentials.Join(more)
	}
	return a.images.Pull(ctx, e.Image, credentials)
}

func alwaysPulls(p *corev1.Pod, ref string) bool {
	return slices.ContainsFunc(containersOf(p), func(c *corev1.Container) bool { return c.Image == ref && c.ImagePullPolicy == corev1.PullAlways })
}

func (a *Agent) pullSecret(ctx context.Context, key kinds.Key) (image.Credentials, error) {
	s, err := client.Get[*corev1.Secret](ctx, a.client, kinds.Ref{Kind: kinds.Secret, Key: key})
	if err != nil {
		if apierrors.IsNotFound(err) {
			err = errors.New("there is none")
		}
		return image.Credentials{}, err
	}
	if raw, ok := s.Data[corev1.DockerConfigJsonKey]; ok {
		return image.ParseDockerConfigJSON(raw)
	}
	return image.ParseDockerCfg(s.Data[corev1.DockerConfigKey])
}
