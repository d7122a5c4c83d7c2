package apiserver

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// Streams is what a Cluster has besides if the agents of its nodes can be asked: for
// exec, attach, port-forward and proxies.
type Streams interface {
	// Stream answers a request by handing it on to a node's agent, and returns when the
	// last byte was carried. The caller was allowed to make it. It ends when the
	// request's context does. An error is answered if nothing was written before.
	Stream(w http.ResponseWriter, r *http.Request, to *Target) error
}

// Target is what a request is to be handed on to. The objects are stored ones, read only.
type Target struct {
	Subresource string // exec, attach, portforward or proxy
	Node        *corev1.Node
	Pod         *corev1.Pod // nil for the node itself
	// Query are the parameters, checked. A container is named: Container.
	Query     url.Values
	Container string
	Port      uint16 // of a pod's proxy
	TLS       bool   // to the pod of a proxy; whose certificate it has is not looked at
	Path      string // of a proxy, escaped, without the first slash
}

// connect hands a request on to the agent of a node.
func (c *call) connect() error {
	streams, ok := c.s.cluster.(Streams)
	if !ok {
		return notImplemented(c.sub)
	}
	t := &Target{Subresource: c.sub, Query: c.query}
	var err error
	if c.sub != "proxy" {
		err = c.upgradeOptions()
	}
	if err != nil {
		return err
	}
	derr := c.do(func(_ time.Time, a *api.API) { err = c.locate(a, t) })
	if err := firstOf(derr, err); err != nil {
		return err
	}
	if c.sub == "proxy" && t.Path == "" && !strings.HasSuffix(c.r.URL.Path, "/") && (c.r.Method == http.MethodGet || c.r.Method == http.MethodHead) {
		return c.intoFolder()
	}
	if c.s.streams.Add(1) > c.s.limits.StreamsMax {
		c.s.streams.Add(-1)
		return apierrors.NewTooManyRequests("too many streams, please try again later.", 1)
	}
	defer c.s.streams.Add(-1)
	ctx, cancel := context.WithCancel(c.r.Context())
	defer cancel()
	go func() {
		select {
		case <-c.s.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	c.noDeadline()
	return streams.Stream(&handed{passing{c.w, c}}, c.r.WithContext(ctx), t)
}

// intoFolder sends a browser to the proxy's own address with a slash at its end, from
// where the relative links of the page lead on.
func (c *call) intoFolder() error {
	to := url.URL{Path: c.r.URL.Path + "/", RawQuery: c.r.URL.RawQuery}
	c.w.Header().Set("Location", to.String())
	c.w.WriteHeader(http.StatusMovedPermanently)
	c.started, c.code = true, http.StatusMovedPermanently
	return nil
}

// upgradeOptions refuses what is no stream. A WebSocket begins with a GET, but who may
// only read pods must not run commands in them.
func (c *call) upgradeOptions() error {
	if c.r.Method == http.MethodGet {
		if err := c.authorizeAlso("create"); err != nil {
			return err
		}
	}
	if c.r.Header.Get("Upgrade") == "" {
		return apierrors.NewBadRequest("Upgrade request required")
	}
	if c.sub == "portforward" {
		for _, list := range c.query["ports"] {
			for text := range strings.SplitSeq(list, ",") {
				if port, err := strconv.ParseUint(text, 10, 16); err != nil || port == 0 {
					return apierrors.NewBadRequest(fmt.Sprintf("ports %q: want numbers from 1 to 65535", list))
				}
			}
		}
		return nil
	}
	if !isTrue(c.query.Get("stdin")) && !isTrue(c.query.Get("stdout")) && !isTrue(c.query.Get("stderr")) {
		return apierrors.NewBadRequest("you must specify at least 1 of stdin, stdout, stderr")
	}
	if c.sub == "exec" && len(c.query["command"]) == 0 {
		return apierrors.NewBadRequest("command: Required value: you must specify a command")
	}
	return nil
}

// locate finds what the path names, on the cluster's goroutine.
func (c *call) locate(a *api.API, t *Target) (err error) {
	node := c.name
	if c.sub == "proxy" {
		t.Path = c.proxyPath()
	}
	switch {
	case c.res.kind == kinds.Node:
	case c.sub == "proxy":
		err = c.proxied(a, t)
	default:
		if t.Pod, err = findPod(a, kinds.Key{Namespace: c.namespace, Name: c.name}); err == nil && c.sub != "portforward" {
			t.Container, err = containerOf(t.Pod, c.query.Get("container"))
		}
	}
	if err != nil {
		return err
	}
	if t.Pod != nil {
		if node = t.Pod.Spec.NodeName; node == "" {
			return apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", t.Pod.Name))
		}
		if phase := t.Pod.Status.Phase; phase == corev1.PodSucceeded || phase == corev1.PodFailed {
			return apierrors.NewBadRequest(fmt.Sprintf("cannot %s a pod that has completed; current phase is %s", wordOf[c.sub], phase))
		}
	}
	o, err := a.Get(kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: node}})
	if err != nil {
		return err
	}
	t.Node = o.(*corev1.Node)
	return nil
}

var wordOf = map[string]string{"exec": "exec into", "attach": "attach to", "portforward": "forward ports to", "proxy": "proxy to"}

func findPod(a *api.API, key kinds.Key) (*corev1.Pod, error) {
	o, err := a.Get(kinds.Ref{Kind: kinds.Pod, Key: key})
	if err != nil {
		return nil, err
	}
	return o.(*corev1.Pod), nil
}

// proxyPath is what of the path comes after the subresource, as it was sent.
func (c *call) proxyPath() string {
	depth := len([]string{"", "api", "v1", "nodes", "NAME", "proxy"})
	if c.res.namespaced {
		depth += len([]string{"namespaces", "NAMESPACE"})
	}
	parts := strings.SplitN(c.r.URL.EscapedPath(), "/", depth+1)
	if len(parts) <= depth {
		return ""
	}
	return parts[depth]
}

// proxied finds the pod and port of a proxy's name, [http:|https:]NAME[:PORT].
func (c *call) proxied(a *api.API, t *Target) (err error) {
	parts := strings.Split(c.name, ":")
	if len(parts) == 3 {
		switch parts[0] {
		case "", "http":
		case "https":
			t.TLS = true
		default:
			return apierrors.NewBadRequest(fmt.Sprintf("scheme %q: want http or https", parts[0]))
		}
		parts = parts[1:]
	}
	name, port := parts[0], ""
	switch len(parts) {
	case 1:
	case 2:
		port = parts[1]
	default:
		return apierrors.NewBadRequest(fmt.Sprintf("invalid %s request %q", c.res.singular, c.name))
	}
	key := kinds.Key{Namespace: c.namespace, Name: name}
	if c.res.kind == kinds.Service {
		t.Pod, t.Port, err = backend(a, key, port)
		return err
	}
	if t.Pod, err = findPod(a, key); err == nil {
		t.Port, err = podPort(t.Pod, port)
	}
	return err
}

// httpPort is that of a pod that names none.
const httpPort = 80

// podPort is a port by number or by name; the first there is if none is asked for.
func podPort(pod *corev1.Pod, text string) (uint16, error) {
	for _, k := range pod.Spec.Containers {
		for _, p := range k.Ports {
			if text == "" || text == p.Name {
				return uint16(p.ContainerPort), nil
			}
		}
	}
	if text == "" {
		return httpPort, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("port %q: want 1 to 65535, or the name of a port of pod %s", text, pod.Name))
	}
	return uint16(n), nil
}

// backend is one of the ready pods of a service, and the port behind one of its own.
func backend(a *api.API, key kinds.Key, text string) (*corev1.Pod, uint16, error) {
	o, err := a.Get(kinds.Ref{Kind: kinds.Service, Key: key})
	if err != nil {
		return nil, 0, err
	}
	ports := o.(*corev1.Service).Spec.Ports
	i := slices.IndexFunc(ports, func(p corev1.ServicePort) bool {
		return p.Name == text || strconv.Itoa(int(p.Port)) == text || text == "" && len(ports) == 1
	})
	if i < 0 {
		return nil, 0, apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %q found for service %q", text, key.Name))
	}
	type place struct {
		pod  string
		port uint16
	}
	var ready []place
	for o := range a.Store().List(kinds.EndpointSlice, key.Namespace) {
		slice := o.(*discoveryv1.EndpointSlice)
		if slice.Labels[discoveryv1.LabelServiceName] != key.Name {
			continue
		}
		at := slices.IndexFunc(slice.Ports, func(p discoveryv1.EndpointPort) bool {
			return p.Port != nil && (p.Name == nil && ports[i].Name == "" || p.Name != nil && *p.Name == ports[i].Name)
		})
		for _, e := range slice.Endpoints {
			if at >= 0 && e.TargetRef != nil && e.TargetRef.Kind == "Pod" && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				ready = append(ready, place{e.TargetRef.Name, uint16(*slice.Ports[at].Port)})
			}
		}
	}
	if len(ready) == 0 {
		return nil, 0, apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", key.Name))
	}
	chosen := ready[rand.IntN(len(ready))]
	pod, err := findPod(a, kinds.Key{Namespace: key.Namespace, Name: chosen.pod})
	return pod, chosen.port, err
}

// handed is the writer of a request that was handed on, which may take the connection
// over.
type handed struct{ passing }

// WriteHeader implements http.ResponseWriter.
func (h *handed) WriteHeader(code int) {
	h.c.started = true
	h.passing.WriteHeader(code)
}

// Hijack implements http.Hijacker.
func (h *handed) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := h.c.conn.Hijack()
	if err == nil {
		h.c.started, h.c.code = true, http.StatusSwitchingProtocols
	}
	return conn, buf, err
}

// Write implements http.ResponseWriter.
func (h *handed) Write(p []byte) (int, error) {
	if !h.c.started {
		h.c.started, h.c.code = true, http.StatusOK
	}
	return h.passing.Write(p)
}

// HostPort is where the agent of a node listens.
func HostPort(node *corev1.Node) (string, error) {
	port := node.Status.DaemonEndpoints.KubeletEndpoint.Port
	for _, a := range node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP && port > 0 {
			return net.JoinHostPort(a.Address, strconv.Itoa(int(port))), nil
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("node %s: its status names no InternalIP and port of its agent", node.Name))
}
