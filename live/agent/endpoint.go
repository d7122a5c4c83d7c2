package agent

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/live/agent/stream"
	podnet "seatrial.dev/seatrial/live/network"
	"seatrial.dev/seatrial/nodeagent"
)

// serveStreams answers the API server's requests for logs and streams until the context
// ends. A port that is taken is tried again: the agent works without it.
func (a *Agent) serveStreams(ctx context.Context) {
	pool, err := a.member.Pool()
	if err != nil {
		a.log("%v", err)
		return
	}
	s, err := stream.New(stream.Config{
		Certificate: func() (*tls.Certificate, error) { return a.certificate.Load(), nil },
		ClientCAs:   pool, ClientNames: []string{stream.APIServerName}, Report: func(err error) { a.log("%v", err) },
	}, places{a}, a.runtime)
	if err != nil {
		a.log("%v", err)
		return
	}
	defer s.Close()
	at := net.JoinHostPort(a.cfg.NodeIP.String(), strconv.Itoa(int(a.cfg.KubeletPort)))
	for ctx.Err() == nil {
		l, err := net.Listen("tcp", at)
		if err == nil {
			stop := context.AfterFunc(ctx, func() { s.Close() })
			err = s.Serve(l)
			stop()
		}
		if err != nil {
			a.log("logs, exec and port-forward of this node's pods do not work: %v", err)
		}
		sleep(ctx, networkRetry)
	}
}

// places tells the endpoint where pods are.
type places struct{ a *Agent }

// List implements stream.Pods.
func (p places) List() []*corev1.Pod {
	var out []*corev1.Pod
	for _, pod := range p.a.pods.all() {
		if api := pod.seen(); api != nil {
			out = append(out, api)
		}
	}
	return out
}

// netnsOf is the network namespace of a pod; "" if it has none (yet).
func (a *Agent) netnsOf(uid string) string {
	n := a.net.get()
	if n == nil {
		return ""
	}
	pods := n.Pods()
	i := slices.IndexFunc(pods, func(at podnet.Pod) bool { return at.UID == uid })
	if i < 0 {
		return ""
	}
	return pods[i].Netns
}

// Find implements stream.Pods.
func (p places) Find(namespace, name, container string) (stream.Place, error) {
	uid, id, started := p.a.Find(namespace, name, container)
	if uid == "" {
		return stream.Place{}, fmt.Errorf("pod %s/%s is not on this node", namespace, name)
	}
	pod := p.a.pods.of(types.UID(uid))
	api := pod.seen()
	place := stream.Place{UID: uid, IP: pod.address(), Run: id}
	if !api.Spec.HostNetwork {
		place.Netns = p.a.netnsOf(uid)
		if place.Netns == "" && container == "" { // a connection into the pod is wanted, not one to the host itself
			return place, fmt.Errorf("pod %s/%s has no network", namespace, name)
		}
	}
	if container == "" {
		return place, nil
	}
	if !started {
		return place, fmt.Errorf("container %q of pod %s/%s has not been started", container, namespace, name)
	}
	run := nodeagent.ContainerID{Pod: types.UID(uid), Name: id.Name, Run: int32(id.Run)}
	place.Log = p.a.logPath(api, run)
	if run.Run > 0 {
		run.Run--
		place.PreviousLog = p.a.logPath(api, run)
	}
	return place, nil
}
