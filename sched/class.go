package sched

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podresource "k8s.io/component-helpers/resource"

	"seatrial.dev/seatrial/cluster/placement"
)

// Limits of what is kept between decisions.
const (
	classesMax = 1 << 16 // classes without a resident that are kept
	shapesMax  = 256     // shapes with columns; those unused for longest lose them
	changesMax = 1 << 16 // node changes that are remembered; a shape further behind starts anew
)

// class is all pods that are alike in whatever a decision goes by, theirs or that of
// another pod: the namespace, the labels that any selector reads, and what they ask for. The pods of a
// ReplicaSet are such pods.
type class struct {
	key       string
	shape     *shape
	namespace string
	labels    map[string]string
	owner     *metav1.OwnerReference // the controller, for the default spread
	example   *corev1.Pod
	priority  int32
	leaving   bool // its pods are being deleted

	pods   int             // residents with a seat
	byNode map[int32]int32 // of them
	in     []counted       // the tallies that count it
	terms  *podTerms       // its affinity to other pods; nil for none
	wants  *wants          // what it asks beyond one node; nil until a decision needs it
	used   uint64          // when a pod of it was last looked up
}

type classes struct {
	byKey map[string]*class
	limit int // when idle ones are dropped
	clock uint64
	key   []byte // reused
}

// shape is what a class asks of a node by itself: the part that StatefulSets' and
// Jobs' pods share, which differ in labels.
type shape struct {
	key string
	asked
	ports       []placement.HostPort
	selector    *nodeSelector // required: nodeSelector and affinity; nil for none
	soft        []softTerm    // preferred node affinity
	names       nameChoice    // nodes by name that the affinity narrows the choice to
	tolerations []corev1.Toleration
	images      []string // as nodes report them
	priority    int32
	annotations map[string]string // those that begin with WishPrefix
	again       bool              // it was decided on before
	columns     *columns          // what each node is to it; nil until a decision needs it
}

type shapes struct {
	byKey map[string]*shape
	live  []*shape // those with columns
	once  columns  // for one decision
	clock uint64
	key   []byte // reused
}

// classOf finds or makes the class of a pod.
func (s *Snapshot) classOf(pod *corev1.Pod) *class {
	c := &s.classes
	c.clock++
	c.key = s.appendClassKey(c.key[:0], pod)
	x := c.byKey[string(c.key)]
	if x == nil {
		x = s.newClass(pod, string(c.key))
	}
	x.used = c.clock
	return x
}

func (s *Snapshot) newClass(pod *corev1.Pod, key string) *class {
	if len(s.classes.byKey) >= max(classesMax, s.classes.limit) {
		s.dropIdleClasses()
	}
	terms := compileTerms(pod)
	if s.relevant.readsOf(pod, terms) {
		s.reclass()
		return s.classOf(pod)
	}
	x := &class{key: key, shape: s.shapeOf(pod), namespace: pod.Namespace, labels: s.relevant.of(pod.Labels), example: pod, terms: terms,
		owner: metav1.GetControllerOfNoCopy(pod), priority: priority(pod), leaving: pod.DeletionTimestamp != nil, byNode: map[int32]int32{}}
	s.classes.byKey[key] = x
	s.countTerms(x.terms)
	for _, t := range s.tallies.list {
		if w := t.weigh(s, x); w != 0 {
			x.in = append(x.in, counted{t, w})
		}
	}
	return x
}

// add counts the class's residents by node.
func (c *class) add(i, sign int32) {
	c.pods += int(sign)
	if c.byNode[i] += sign; c.byNode[i] == 0 {
		delete(c.byNode, i)
	}
}

// dropIdleClasses forgets the half of the classes without residents that was not
// used for longest.
func (s *Snapshot) dropIdleClasses() {
	idle := make([]*class, 0, len(s.classes.byKey))
	for _, c := range s.classes.byKey { //det:ok sorted just below by unique times
		if c.pods == 0 {
			idle = append(idle, c)
		}
	}
	slices.SortFunc(idle, func(a, b *class) int {
		if a.used < b.used {
			return -1
		}
		return 1
	})
	held := map[*class]bool{}
	for _, r := range s.residents { //det:ok gathers a set of classes
		held[r.class] = true
	}
	for _, c := range idle[:len(idle)/2] {
		if !held[c] && !s.nominated.holds(c) {
			s.dropWants(c)
			delete(s.classes.byKey, c.key)
		}
	}
	s.classes.limit = 2 * len(s.classes.byKey)
	s.dropUnusedTallies()
}

func (s *Snapshot) shapeOf(pod *corev1.Pod) *shape {
	h := &s.shapes
	h.key = appendShapeKey(h.key[:0], pod)
	x := h.byKey[string(h.key)]
	if x != nil {
		return x
	}
	if len(h.byKey) >= classesMax {
		clear(h.byKey) // those in use are held by their classes
	}
	spec := &pod.Spec
	x = &shape{key: string(h.key), asked: s.requests(pod), priority: priority(pod), ports: placement.HostPorts(spec), tolerations: spec.Tolerations,
		images: imageNames(spec)}
	x.selector, x.soft = compileAffinity(spec)
	x.annotations = wishes(pod.Annotations)
	x.names = namesChosen(spec)
	h.byKey[x.key] = x
	return x
}

// key writes what makes pods alike.
type key []byte

func (k *key) num(n int64)    { *k = binary.AppendVarint(*k, n) }
func (k *key) text(s string)  { k.num(int64(len(s))); *k = append(*k, s...) }
func (k *key) bytes(b []byte) { k.num(int64(len(b))); *k = append(*k, b...) }

func (k *key) pairs(m map[string]string) {
	k.num(int64(len(m)))
	var room [8]string
	names := slices.AppendSeq(room[:0], maps.Keys(m)) //det:ok sorted in the next line
	slices.Sort(names)
	for _, name := range names {
		k.text(name)
		k.text(m[name])
	}
}

// labels writes the relevant ones of a pod's labels.
func (k *key) labels(all map[string]string, r *relevant) {
	var room [16]string
	names := room[:0]
	for name := range all {
		if r.all || r.keys[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	k.num(int64(len(names)))
	for _, name := range names {
		k.text(name)
		k.text(all[name])
	}
}

// quantities writes a resource list, exactly.
func (k *key) quantities(list corev1.ResourceList) {
	k.num(int64(len(list)))
	var room [8]corev1.ResourceName
	names := slices.AppendSeq(room[:0], maps.Keys(list)) //det:ok sorted in the next line
	slices.Sort(names)
	for _, name := range names {
		k.text(string(name))
		q := list[name]
		if name == corev1.ResourceCPU {
			k.num(q.MilliValue()) // the API takes nothing finer
		} else if n, ok := q.AsInt64(); ok {
			k.num(n)
		} else {
			k.text(q.String())
		}
	}
}

// appendClassKey writes what a class goes by.
func (s *Snapshot) appendClassKey(b []byte, pod *corev1.Pod) []byte {
	k := key(appendShapeKey(b, pod))
	k.text(pod.Namespace)
	k.labels(pod.Labels, &s.relevant)
	spec := &pod.Spec
	if a := spec.Affinity; a != nil && (a.PodAffinity != nil || a.PodAntiAffinity != nil) {
		k.marshal(&corev1.Affinity{PodAffinity: a.PodAffinity, PodAntiAffinity: a.PodAntiAffinity})
	}
	k.num(int64(len(spec.TopologySpreadConstraints)))
	for i := range spec.TopologySpreadConstraints {
		k.marshal(&spec.TopologySpreadConstraints[i])
	}
	if len(spec.TopologySpreadConstraints) == 0 {
		if o := metav1.GetControllerOfNoCopy(pod); o != nil && spreads(o.Kind) {
			k.text(o.APIVersion)
			k.text(o.Kind)
			k.text(o.Name)
		}
	}
	if pod.DeletionTimestamp != nil {
		k.num(1)
	}
	return k
}

// appendShapeKey writes what a shape goes by. Of containers it is only what the
// scheduler reads.
func appendShapeKey(b []byte, pod *corev1.Pod) []byte {
	k := key(b)
	spec := &pod.Spec
	k.text(spec.SchedulerName)
	k.num(int64(priority(pod)))
	for n, list := range [2][]corev1.Container{spec.Containers, spec.InitContainers} {
		k.num(int64(len(list)))
		for i := range list {
			c := &list[i]
			k.text(c.Image)
			k.quantities(c.Resources.Requests)
			if n == 1 && isSidecar(c) {
				k.num(1)
			}
			for j := range c.Ports {
				if p := &c.Ports[j]; p.HostPort > 0 {
					k.num(int64(p.HostPort))
					k.text(string(p.Protocol))
					k.text(p.HostIP)
				}
			}
			k.num(-1)
		}
	}
	if spec.Resources != nil {
		k.quantities(spec.Resources.Requests)
	}
	k.quantities(spec.Overhead)
	k.pairs(spec.NodeSelector)
	if spec.Affinity != nil && spec.Affinity.NodeAffinity != nil {
		k.marshal(spec.Affinity.NodeAffinity)
	}
	k.num(int64(len(spec.Tolerations)))
	for i := range spec.Tolerations {
		t := &spec.Tolerations[i]
		k.text(t.Key)
		k.text(string(t.Operator))
		k.text(t.Value)
		k.text(string(t.Effect))
	}
	for i := range spec.Volumes {
		if spec.Volumes[i].Image != nil {
			k.text(spec.Volumes[i].Image.Reference)
		}
	}
	if w := wishes(pod.Annotations); w != nil {
		k.pairs(w)
	}
	k.resized(pod)
	return k
}

// wishes are the annotations that policies read; nil for none.
func wishes(all map[string]string) map[string]string {
	var list map[string]string
	for k, v := range all { //det:ok fills a map
		if strings.HasPrefix(k, WishPrefix) {
			if list == nil {
				list = map[string]string{}
			}
			list[k] = v
		}
	}
	return list
}

// resized writes what containers were given, where that differs from what they ask
// for.
func (k *key) resized(pod *corev1.Pod) {
	for _, list := range [2][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range list {
			c := &list[i]
			if c.AllocatedResources == nil && c.Resources == nil {
				continue
			}
			k.text(c.Name)
			k.quantities(c.AllocatedResources)
			if c.Resources != nil {
				k.quantities(c.Resources.Requests)
			}
		}
	}
	if podresource.IsPodResizeInfeasible(pod) {
		k.text("infeasible")
	}
	if pod.Status.Resources != nil {
		k.quantities(pod.Status.Resources.Requests)
		k.quantities(pod.Status.AllocatedResources)
	}
}

// marshal writes a part of a pod as protobuf, which orders maps by their keys.
func (k *key) marshal(m interface{ Marshal() ([]byte, error) }) {
	b, err := m.Marshal()
	if err != nil {
		panic("sched: " + err.Error())
	}
	k.bytes(b)
}

func priority(p *corev1.Pod) int32 {
	if p.Spec.Priority == nil {
		return 0
	}
	return *p.Spec.Priority
}

// spreads says whether a kind's selector takes part in the default spread.
func spreads(kind string) bool {
	return kind == "ReplicaSet" || kind == "StatefulSet" || kind == "ReplicationController"
}
