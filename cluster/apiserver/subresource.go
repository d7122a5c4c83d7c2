package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// subresource carries out a request for a part of an object.
func (c *call) subresource() error {
	sub := c.res.subs[c.sub]
	switch {
	case sub.connect:
		return c.connect()
	case sub.create != nil:
		return c.createVirtual(sub.create)
	}
	switch c.sub {
	case "log":
		return c.log()
	case api.SubBinding:
		return c.bind()
	case api.SubEviction:
		return c.evict()
	case api.SubScale:
		return c.scale()
	}
	switch c.verb { // parts that are read and written as the whole object
	case "get":
		return c.get()
	case "update":
		return c.update()
	case "patch":
		return c.patch()
	}
	return c.methodNotAllowed()
}

func notImplemented(what string) error {
	err := apierrors.NewGenericServerResponse(http.StatusNotImplemented, "", schema.GroupResource{}, "", "", 0, false)
	err.ErrStatus.Reason = "NotImplemented"
	err.ErrStatus.Message = what + " is not supported by this world"
	err.ErrStatus.Details = nil
	return err
}

// bind assigns a pod to a node: a Binding posted to a pod, or to the namespace.
func (c *call) bind() error {
	opts, err := c.writeOptions("CreateOptions")
	if err != nil {
		return err
	}
	body, err := c.readBody()
	if err != nil {
		return err
	}
	o, err := c.decode(body, corev1.SchemeGroupVersion.WithKind("Binding"))
	if err != nil {
		return err
	}
	b := o.(*corev1.Binding)
	name := c.name
	if name == "" {
		name = b.Name
	}
	switch {
	case b.Name != "" && b.Name != name:
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", b.Name, name))
	case b.Target.Kind != "" && b.Target.Kind != "Node":
		return apierrors.NewBadRequest(fmt.Sprintf("target.kind: Unsupported value: %q: supported values: \"Node\"", b.Target.Kind))
	case b.Namespace != "" && b.Namespace != c.namespace:
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	r := api.Bind(kinds.Key{Namespace: c.namespace, Name: name}, b.UID, b.Target.Name)
	r.DryRun = opts.dryRun
	derr := c.do(func(now time.Time, a *api.API) { _, err = c.write(now, a, r) })
	if err := firstOf(derr, err); err != nil {
		return err
	}
	return c.succeeded(http.StatusCreated)
}

// succeeded answers with a Status that says no more than that.
func (c *call) succeeded(code int) error {
	s := &metav1.Status{Status: metav1.StatusSuccess, Code: int32(code)}
	s.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Status"))
	return c.answer(code, s)
}

// evict deletes a pod if no disruption budget forbids it.
func (c *call) evict() error {
	opts, err := c.writeOptions("CreateOptions")
	if err != nil {
		return err
	}
	body, err := c.readBody()
	if err != nil {
		return err
	}
	o, err := c.decode(body, policyv1.SchemeGroupVersion.WithKind("Eviction"))
	if err != nil {
		return err
	}
	e := o.(*policyv1.Eviction)
	if e.Name != "" && e.Name != c.name {
		return apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	r := api.Evict(kinds.Key{Namespace: c.namespace, Name: c.name}, "")
	if d := e.DeleteOptions; d != nil {
		if err := fillDelete(&r, d, opts); err != nil {
			return err
		}
	} else {
		r.DryRun = opts.dryRun
	}
	derr := c.do(func(now time.Time, a *api.API) { _, err = c.write(now, a, r) })
	if err := firstOf(derr, err); err != nil {
		return err
	}
	return c.succeeded(http.StatusCreated)
}

// log streams what a container has written.
func (c *call) log() error {
	logs, ok := c.s.cluster.(Logs)
	if !ok {
		return notImplemented("log")
	}
	opts, err := c.logOptions()
	if err != nil {
		return err
	}
	var pod *corev1.Pod
	derr := c.do(func(_ time.Time, a *api.API) {
		var o kinds.Object
		if o, err = a.Get(c.ref()); err == nil {
			pod = o.(*corev1.Pod)
		}
	})
	if err := firstOf(derr, err); err != nil {
		return err
	}
	if err := chooseContainer(pod, opts); err != nil {
		return err
	}
	r, err := logs.Logs(c.r.Context(), pod, opts)
	if err != nil {
		return err
	}
	defer r.Close()
	if c.wantsSocket() {
		c.noDeadline()
		return c.socket(r)
	}
	c.w.Header().Set("Content-Type", "text/plain")
	c.w.WriteHeader(http.StatusOK)
	c.started, c.code = true, http.StatusOK
	c.noDeadline()
	return c.stream(r)
}

// logOptions reads the parameters of a log by their names in PodLogOptions.
func (c *call) logOptions() (*corev1.PodLogOptions, error) {
	m := map[string]any{}
	for name, values := range c.query {
		v := values[len(values)-1]
		switch name {
		case "follow", "previous", "timestamps", "insecureSkipTLSVerifyBackend":
			m[name] = isTrue(v)
		case "sinceSeconds", "tailLines", "limitBytes":
			m[name] = json.Number(v)
		case "container", "sinceTime", "stream":
			m[name] = v
		}
	}
	opts := &corev1.PodLogOptions{}
	b, err := json.Marshal(m)
	if err == nil {
		err = json.Unmarshal(b, opts)
	}
	if err != nil {
		return nil, apierrors.NewBadRequest("log options: " + err.Error())
	}
	for name, n := range map[string]*int64{"tailLines": opts.TailLines, "limitBytes": opts.LimitBytes} {
		if n != nil && *n < 0 {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("%s: Invalid value: %d: must be greater than or equal to 0", name, *n))
		}
	}
	return opts, nil
}

// containerOf is the container meant: the only one if none is named.
func containerOf(pod *corev1.Pod, name string) (string, error) {
	var names []string
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	if name == "" {
		if len(names) != 1 {
			return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: %v", pod.Name, names))
		}
		return names[0], nil
	}
	for _, c := range pod.Spec.InitContainers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		names = append(names, c.Name)
	}
	if !slices.Contains(names, name) {
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, pod.Name))
	}
	return name, nil
}

// chooseContainer finds the container meant, and refuses one that has not begun.
func chooseContainer(pod *corev1.Pod, opts *corev1.PodLogOptions) error {
	name, err := containerOf(pod, opts.Container)
	if err != nil {
		return err
	}
	opts.Container = name
	if pod.Spec.NodeName == "" {
		return apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", pod.Name))
	}
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for _, s := range list {
			if w := s.State.Waiting; s.Name == opts.Container && w != nil && s.LastTerminationState.Terminated == nil {
				return apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is waiting to start: %s", s.Name, pod.Name, w.Reason))
			}
		}
	}
	return nil
}
