package conformance

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/retry"
)

var serviceEntries = slices.Concat([]entry{
	{Group: "Services and endpoints", Name: "Kubernetes Service", Codename: "[sig-network] Services should provide secure master service", Test: masterService},
	{Group: "Services and endpoints", Name: "Find Kubernetes Service in default Namespace", Codename: "[sig-network] Services should find a service from listing all namespaces", Test: masterServiceListed},
	{Group: "Services and endpoints", Name: "Service, complete ServiceStatus lifecycle", Codename: "[sig-network] Services should complete a service status lifecycle", Test: serviceStatus},
	{Group: "Services and endpoints", Name: "Service, deletes a collection of services", Codename: "[sig-network] Services should delete a collection of services", Test: servicesDeleted},
	{Group: "Services and endpoints", Name: "Endpoint resource lifecycle", Codename: "[sig-network] Services should test the lifecycle of an Endpoint", Test: endpointLifecycle},
	{Group: "Services and endpoints", Name: "Service endpoint latency, thresholds", Codename: "[sig-network] Service endpoints latency should not be very high", Test: endpointLatency},
	{Group: "Services and endpoints", Name: "EndpointSlice API", Codename: "[sig-network] EndpointSlice should support creating EndpointSlice API operations", Test: operations{
		gvr: discoveryv1.SchemeGroupVersion.WithResource("endpointslices"), object: `{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{},
			"addressType":"IPv4","endpoints":[{"addresses":["1.2.3.4"]}],"ports":[]}`}.test},
	{Group: "Services and endpoints", Name: "EndpointSlice API", Codename: "[sig-network] EndpointSlice should create and delete Endpoints and EndpointSlices for a Service with a selector specified", Test: slicesComeAndGo},
	{Group: "Services and endpoints", Name: "EndpointSlice API", Codename: "[sig-network] EndpointSlice should create Endpoints and EndpointSlices for Pods matching a Service", Test: slicesOfPods},
	{Group: "Services and endpoints", Name: "EndpointSlice API", Codename: "[sig-network] EndpointSlice should have Endpoints and EndpointSlices pointing to API Server",
		Missing: "the service kubernetes has no endpoints: no address leads from inside the simulation to its API server"},
	{Group: "Services and endpoints", Name: "EndpointSlice Mirroring", Codename: "[sig-network] EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete",
		Test: endpointsMirrored},
	{Group: "Ingress", Name: "Ingress API", Codename: "[sig-network] Ingress API should support creating Ingress API operations", Test: operations{
		gvr: schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}, object: `{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{},
			"spec":{"defaultBackend":{"service":{"name":"x","port":{"number":80}}}}}`,
		status: []string{"status", "loadBalancer", "ingress"}, value: []any{map[string]any{"ip": "169.1.1.1"}}, other: []any{map[string]any{"ip": "169.1.1.2"}}}.test},
	{Group: "Ingress", Name: "IngressClass API", Codename: "[sig-network] IngressClass API should support creating IngressClass API operations", Test: operations{
		gvr: schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingressclasses"}, cluster: true, object: `{"apiVersion":"networking.k8s.io/v1","kind":"IngressClass","metadata":{},
			"spec":{"controller":"example.com/controller"}}`}.test},
}, missing("Services and endpoints", noTraffic,
	"Service, change type, ClusterIP to ExternalName", "[sig-network] Services should be able to change the type from ClusterIP to ExternalName",
	"Service, change type, ExternalName to ClusterIP", "[sig-network] Services should be able to change the type from ExternalName to ClusterIP",
	"Service, change type, ExternalName to NodePort", "[sig-network] Services should be able to change the type from ExternalName to NodePort",
	"Service, change type, NodePort to ExternalName", "[sig-network] Services should be able to change the type from NodePort to ExternalName",
	"Service, NodePort Service", "[sig-network] Services should be able to create a functioning NodePort service",
	"Service, NodePort type, session affinity to None", "[sig-network] Services should be able to switch session affinity for NodePort service [LinuxOnly]",
	"Service, ClusterIP type, session affinity to None", "[sig-network] Services should be able to switch session affinity for service with type clusterIP [LinuxOnly]",
	"Service, NodePort type, session affinity to ClientIP", "[sig-network] Services should have session affinity work for NodePort service [LinuxOnly]",
	"Service, ClusterIP type, session affinity to ClientIP", "[sig-network] Services should have session affinity work for service with type clusterIP [LinuxOnly]",
	"Service, endpoints", "[sig-network] Services should serve a basic endpoint from pods",
	"Service, should serve endpoints on same port and different protocols.", "[sig-network] Services should serve endpoints on same port and different protocols",
	"Service, endpoints with multiple ports", "[sig-network] Services should serve multiport endpoints from pods",
), missing("Services and endpoints", "exec, attach, portforward and proxy are not served",
	"Proxy, validate Proxy responses", "[sig-network] Proxy version v1 A set of valid responses are returned for both pod and service Proxy",
	"Proxy, validate ProxyWithPath responses", "[sig-network] Proxy version v1 A set of valid responses are returned for both pod and service ProxyWithPath",
	"Proxy, logs service endpoint", "[sig-network] Proxy version v1 should proxy through a service and a pod",
))

func service(name string, ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: app(name)}, Spec: corev1.ServiceSpec{Selector: app(name), Ports: ports}}
}

func (c *cluster) makeService(t *testing.T, s *corev1.Service) *corev1.Service {
	t.Helper()
	made, err := c.kube.CoreV1().Services(c.ns).Create(c.ctx, s, metav1.CreateOptions{})
	require.NoError(t, err)
	return made
}

func masterService(t *testing.T, c *cluster) {
	_, err := c.kube.CoreV1().Services(metav1.NamespaceDefault).Get(c.ctx, "kubernetes", metav1.GetOptions{})
	require.NoError(t, err)
}

func masterServiceListed(t *testing.T, c *cluster) {
	list, err := c.kube.CoreV1().Services("").List(c.ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(list.Items, func(s corev1.Service) bool { return s.Namespace == metav1.NamespaceDefault && s.Name == "kubernetes" }))
}

func serviceStatus(t *testing.T, c *cluster) {
	services := c.kube.CoreV1().Services(c.ns)
	w, err := services.Watch(c.ctx, selecting("app=svc"))
	require.NoError(t, err)
	defer w.Stop()
	s := service("svc", corev1.ServicePort{Name: "http", Port: 80})
	s.Spec.Type = corev1.ServiceTypeLoadBalancer
	c.makeService(t, s)
	next(t, w, watch.Added)
	got, err := c.dyn.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(c.ns).Get(c.ctx, "svc", metav1.GetOptions{}, "status")
	require.NoError(t, err)
	require.Equal(t, "svc", got.GetName())
	patched, err := services.Patch(c.ctx, "svc", mergePatch, []byte(`{"metadata":{"annotations":{"patchedstatus":"true"}},"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.1"}]}}}`), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	require.Equal(t, "203.0.113.1", patched.Status.LoadBalancer.Ingress[0].IP)
	seen(t, w, watch.Modified, func(s *corev1.Service) bool { return s.Annotations["patchedstatus"] == "true" })
	patched.Status.Conditions = append(patched.Status.Conditions, metav1.Condition{Type: "StatusUpdate", Status: metav1.ConditionTrue, Reason: "E2E", Message: "set", LastTransitionTime: metav1.Now()})
	_, err = services.UpdateStatus(c.ctx, patched, metav1.UpdateOptions{})
	require.NoError(t, err)
	seen(t, w, watch.Modified, func(s *corev1.Service) bool {
		return len(s.Status.Conditions) == 1 && s.Status.Conditions[0].Type == "StatusUpdate"
	})
	_, err = services.Patch(c.ctx, "svc", mergePatch, labelled(t, "service", "patched"), metav1.PatchOptions{})
	require.NoError(t, err)
	seen(t, w, watch.Modified, func(s *corev1.Service) bool { return s.Labels["service"] == "patched" })
	require.NoError(t, services.Delete(c.ctx, "svc", metav1.DeleteOptions{}))
	seen(t, w, watch.Deleted, whatever[*corev1.Service])
}

func servicesDeleted(t *testing.T, c *cluster) {
	for i, group := range []string{"in", "in", "out"} {
		s := service(fmt.Sprint("svc-", i), corev1.ServicePort{Port: 80})
		s.Labels["group"] = group
		c.makeService(t, s)
	}
	services := c.kube.CoreV1().Services(c.ns)
	list, err := services.List(c.ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, list.Items, 3)
	require.NoError(t, c.dyn.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(c.ns).
		DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("group=in"))) // the typed client has none
	c.until(t, "one service to remain", func() (bool, error) {
		list, err = services.List(c.ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 1, err
	})
	require.Equal(t, "svc-2", list.Items[0].Name)
}

func endpointLifecycle(t *testing.T, c *cluster) {
	endpoints := c.kube.CoreV1().Endpoints(c.ns) //nolint:staticcheck // the entry is about it
	w, err := endpoints.Watch(c.ctx, selecting("app=ep"))
	require.NoError(t, err)
	defer w.Stop()
	e := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "ep", Labels: app("ep")}, Subsets: []corev1.EndpointSubset{{
		Addresses: []corev1.EndpointAddress{{IP: "10.0.0.24"}}, Ports: []corev1.EndpointPort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}}}}}
	made, err := endpoints.Create(c.ctx, e, metav1.CreateOptions{})
	require.NoError(t, err)
	next(t, w, watch.Added)
	made.Labels["updated"] = "true"
	_, err = endpoints.Update(c.ctx, made, metav1.UpdateOptions{})
	require.NoError(t, err)
	seen(t, w, watch.Modified, func(e *corev1.Endpoints) bool { return e.Labels["updated"] == "true" })
	_, err = endpoints.Patch(c.ctx, "ep", strategicPatch, []byte(`{"subsets":[{"addresses":[{"ip":"10.0.0.25"}],"ports":[{"name":"http-test","port":8080}]}]}`), metav1.PatchOptions{})
	require.NoError(t, err)
	got, err := endpoints.Get(c.ctx, "ep", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "10.0.0.25", got.Subsets[0].Addresses[0].IP)
	require.Equal(t, corev1.EndpointPort{Name: "http-test", Port: 8080, Protocol: corev1.ProtocolTCP}, got.Subsets[0].Ports[0])
	require.NoError(t, endpoints.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("app=ep")))
	seen(t, w, watch.Deleted, whatever[*corev1.Endpoints])
	_, err = endpoints.Get(c.ctx, "ep", metav1.GetOptions{})
	is, _ := gone(err)
	require.True(t, is, "%v", err)
}

// endpointLatency makes services for a running pod, one after the other, and takes
// the virtual time from each one's creation until its endpoints are there. The last
// write of an Endpoints tells when that was.
func endpointLatency(t *testing.T, c *cluster) {
	const rounds = 100
	c.makePod(t, "pod", app("lat"), podSpec(anImage))
	c.untilPods(t, "app=lat", 1, running)
	endpoints := c.kube.CoreV1().Endpoints(c.ns) //nolint:staticcheck // the entry is about it
	w, err := endpoints.Watch(c.ctx, metav1.ListOptions{})
	require.NoError(t, err)
	defer w.Stop()
	var seconds []float64
	for i := range rounds {
		s := service(fmt.Sprint("lat-", i), corev1.ServicePort{Port: 80})
		s.Spec.Selector = app("lat")
		s = c.makeService(t, s)
		e := seen(t, w, watch.Added, func(e *corev1.Endpoints) bool { return e.Name == s.Name })
		require.NotEmpty(t, e.Subsets)
		seconds = append(seconds, e.CreationTimestamp.Sub(s.CreationTimestamp.Time).Seconds())
	}
	slices.Sort(seconds)
	require.Less(t, seconds[rounds*50/100], 20.0)
	require.Less(t, seconds[rounds*90/100], 50.0)
}

func (c *cluster) slicesOf(t *testing.T, service string) []discoveryv1.EndpointSlice {
	t.Helper()
	list, err := c.kube.DiscoveryV1().EndpointSlices(c.ns).List(c.ctx, selecting(discoveryv1.LabelServiceName+"="+service))
	require.NoError(t, err)
	return list.Items
}

func slicesComeAndGo(t *testing.T, c *cluster) {
	operations{gvr: discoveryv1.SchemeGroupVersion.WithResource("endpointslices")}.discovered(t, c)
	c.makeService(t, service("svc", corev1.ServicePort{Name: "example", Port: 80, TargetPort: intstr.FromInt32(3000)}))
	endpoints := c.kube.CoreV1().Endpoints(c.ns) //nolint:staticcheck // the entry is about it
	c.until(t, "the endpoints", func() (bool, error) {
		_, err := endpoints.Get(c.ctx, "svc", metav1.GetOptions{})
		return found(err)
	})
	c.until(t, "a slice", func() (bool, error) { return len(c.slicesOf(t, "svc")) == 1, nil })
	require.NoError(t, c.kube.CoreV1().Services(c.ns).Delete(c.ctx, "svc", metav1.DeleteOptions{}))
	c.until(t, "the endpoints to go", func() (bool, error) {
		_, err := endpoints.Get(c.ctx, "svc", metav1.GetOptions{})
		return gone(err)
	})
	c.until(t, "the slice to go", func() (bool, error) { return len(c.slicesOf(t, "svc")) == 0, nil })
}

// slicesOfPods has two pods behind services: one by name of its port, two by number,
// and one service whose port no pod has by that name.
func slicesOfPods(t *testing.T, c *cluster) {
	operations{gvr: discoveryv1.SchemeGroupVersion.WithResource("endpointslices")}.discovered(t, c)
	for _, name := range []string{"one", "two"} {
		spec := podSpec(anImage)
		spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "example", ContainerPort: 3000}}
		if name == "two" {
			spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "example", ContainerPort: 3001}, {Name: "other", ContainerPort: 3002}}
		}
		labels := map[string]string{"app": name, "both": "yes"}
		c.makePod(t, name, labels, spec)
	}
	pods := c.untilPods(t, "both=yes", 2, running)
	ip := map[string]string{pods[0].Name: pods[0].Status.PodIP, pods[1].Name: pods[1].Status.PodIP}
	c.makeService(t, service("one", corev1.ServicePort{Port: 80, TargetPort: intstr.FromString("example")}))
	both := service("both", corev1.ServicePort{Name: "example", Port: 80, TargetPort: intstr.FromString("example")}, corev1.ServicePort{Name: "other", Port: 81, TargetPort: intstr.FromString("other")})
	both.Spec.Selector, both.Spec.PublishNotReadyAddresses = map[string]string{"both": "yes"}, true
	c.makeService(t, both)
	c.untilSlices(t, "one", map[string]string{ip["one"]: "3000"})
	c.untilSlices(t, "both", map[string]string{ip["one"]: "example=3000", ip["two"]: "example=3001 other=3002"})
	endpoints, err := c.kube.CoreV1().Endpoints(c.ns).Get(c.ctx, "both", metav1.GetOptions{}) //nolint:staticcheck // the entry is about it
	require.NoError(t, err)
	var addresses []string
	for _, s := range endpoints.Subsets {
		for _, a := range s.Addresses {
			require.NotNil(t, a.TargetRef)
			require.Equal(t, ip[a.TargetRef.Name], a.IP)
			addresses = append(addresses, a.IP)
		}
	}
	require.Contains(t, addresses, ip["one"])
	require.Contains(t, addresses, ip["two"])
	require.NoError(t, retry.RetryOnConflict(retry.DefaultRetry, func() error {
		_, err := c.kube.CoreV1().Pods(c.ns).Patch(c.ctx, "two", mergePatch, []byte(`{"metadata":{"labels":{"both":"no"}}}`), metav1.PatchOptions{})
		return err
	}))
	c.untilSlices(t, "both", map[string]string{ip["one"]: "example=3000"})
}

// endpointsMirrored writes, changes and deletes the Endpoints of a service without a
// selector.
func endpointsMirrored(t *testing.T, c *cluster) {
	operations{gvr: discoveryv1.SchemeGroupVersion.WithResource("endpointslices")}.discovered(t, c)
	s := service("by-hand", corev1.ServicePort{Name: "example", Port: 80, Protocol: corev1.ProtocolTCP})
	s.Spec.Selector = nil
	c.makeService(t, s)
	endpoints := c.kube.CoreV1().Endpoints(c.ns) //nolint:staticcheck // the entry is about it
	e := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "by-hand"}, Subsets: []corev1.EndpointSubset{{
		Ports: []corev1.EndpointPort{{Port: 80}}, Addresses: []corev1.EndpointAddress{{IP: "10.1.2.3"}}}}}
	made, err := endpoints.Create(c.ctx, e, metav1.CreateOptions{})
	require.NoError(t, err)
	c.untilSlices(t, "by-hand", map[string]string{"10.1.2.3": "80"})
	list := c.slicesOf(t, "by-hand")
	require.Len(t, list, 1)
	require.Equal(t, "endpointslicemirroring-controller.k8s.io", list[0].Labels[discoveryv1.LabelManagedBy])
	require.True(t, metav1.IsControlledBy(&list[0], made))
	e.Subsets[0].Addresses[0].IP = "10.2.3.4"
	_, err = endpoints.Update(c.ctx, e, metav1.UpdateOptions{})
	require.NoError(t, err)
	c.untilSlices(t, "by-hand", map[string]string{"10.2.3.4": "80"})
	require.Len(t, c.slicesOf(t, "by-hand"), 1)
	require.NoError(t, endpoints.Delete(c.ctx, "by-hand", metav1.DeleteOptions{}))
	c.until(t, "the slice to go", func() (bool, error) { return len(c.slicesOf(t, "by-hand")) == 0, nil })
}

// untilSlices waits until the slices of a service have the addresses with their ports.
func (c *cluster) untilSlices(t *testing.T, service string, want map[string]string) {
	t.Helper()
	var have map[string]string
	defer func() {
		if t.Failed() {
			t.Logf("the slices of %s have %v, want %v", service, have, want)
		}
	}()
	c.until(t, "the slices of "+service, func() (bool, error) {
		have = map[string]string{}
		for _, s := range c.slicesOf(t, service) {
			var ports []string
			for _, p := range s.Ports {
				text := fmt.Sprint(*p.Port)
				if *p.Name != "" {
					text = *p.Name + "=" + text
				}
				ports = append(ports, text)
			}
			slices.Sort(ports)
			for _, e := range s.Endpoints {
				for i, p := range ports {
					if i > 0 || have[e.Addresses[0]] != "" {
						have[e.Addresses[0]] += " "
					}
					have[e.Addresses[0]] += p
				}
			}
		}
		return fmt.Sprint(have) == fmt.Sprint(want), nil
	})
}
