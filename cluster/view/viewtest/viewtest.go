// Package viewtest is a store and a view that follows it, for the tests of whatever is
// computed from a view: rules, names. It is no API server: what is put is stored as it
// is. No program uses it.
package viewtest

import (
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
)

// Desk is a store and a view of it. The view has each write when the call returns.
type Desk struct {
	Store *store.Store
	View  *view.View
	Seen  func(store.Event) // told of each write once the view has it; may be nil
}

// New makes an empty desk whose view has these kinds.
func New(of ...kinds.Kind) *Desk {
	return &Desk{Store: store.New(store.WindowDefault), View: view.New(of...)}
}

// Put creates the object, or updates it if there is one of its name.
func (d *Desk) Put(t require.TestingT, o kinds.Object) {
	var e store.Event
	var err error
	if d.Store.Get(kinds.RefOf(o)) == nil {
		e, err = d.Store.Create(o)
	} else {
		e, err = d.Store.Update(o, 0)
	}
	require.NoError(t, err)
	d.seen(e)
}

// Remove deletes an object that is there.
func (d *Desk) Remove(t require.TestingT, ref kinds.Ref) {
	e, err := d.Store.Delete(ref, nil, 0)
	require.NoError(t, err)
	d.seen(e)
}

func (d *Desk) seen(e store.Event) {
	d.View.Apply(e)
	if d.Seen != nil {
		d.Seen(e)
	}
}

// Apply puts what manifests say, with defaults, into the namespace default if they name
// none.
func (d *Desk) Apply(t require.TestingT, manifests string) {
	docs, err := kinds.Decode("apply", []byte(manifests))
	require.NoError(t, err)
	for _, doc := range docs {
		if doc.Object.GetNamespace() == "" {
			doc.Object.SetNamespace("default")
		}
		kinds.Default(doc.Object)
		d.Put(t, doc.Object)
	}
}

// Delete removes an object that a transcript names by KIND and NAMESPACE/NAME.
func (d *Desk) Delete(t require.TestingT, kind, key string) {
	k, known := kinds.ByName(kind)
	require.True(t, known, kind)
	namespace, name, _ := strings.Cut(key, "/")
	d.Remove(t, kinds.Ref{Kind: k, Key: kinds.Key{Namespace: namespace, Name: name}})
}

// Services puts that many services, s0000 and so on, each with a slice of endpoints.
func (d *Desk) Services(t require.TestingT, services, endpoints int) {
	for i := range services {
		d.Put(t, Service(ServiceName(i), i))
		d.Put(t, Slice(ServiceName(i), i, endpoints))
	}
}

// ServiceName is the name of the service numbered i.
func ServiceName(i int) string { return fmt.Sprintf("s%04d", i) }

// Service has port 80, and an address of its own for each i.
func Service(name string, i int) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: fmt.Sprintf("10.96.%d.%d", i/250, i%250+1),
			Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
}

// Slice has endpoints of a service, the first of them on node n1, the second on n2.
func Slice(service string, i, endpoints int) *discoveryv1.EndpointSlice {
	name, port := "http", int32(8080)
	o := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: service + "-x", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}}}
	for e := range endpoints {
		where := fmt.Sprintf("n%d", e+1)
		o.Endpoints = append(o.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.%d.%d.%d", 200+e, i/250, i%250+1)}, NodeName: &where})
	}
	return o
}
