package volumes

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// State is what the volume plugins know: claims, volumes, classes, drivers, and which
// pods use what where. The zero value is not ready; see New.
type State struct {
	claims   map[kinds.Key]*claim
	volumes  map[string]*volume
	classes  map[string]*class
	drivers  map[string]*storagev1.CSIDriver
	spaces   map[kinds.Key]*storagev1.CSIStorageCapacity
	attached map[string]*storagev1.VolumeAttachment
	nodes    map[string]*node
	reserved map[kinds.Key]*reservation

	changes uint64 // see Changes
	classed uint64 // changes of classes: what a node has attached may be named anew
}

// claim is what is known by a claim's name; a pod may use it before it is there.
type claim struct {
	obj     *corev1.PersistentVolumeClaim // as last seen; nil: not there
	assumed *corev1.PersistentVolumeClaim // obj as Reserve wants it to be; nil: as it is
	direct  int                           // volumes of placed pods that name it, ephemeral ones left out
	on      map[*node]int                 // volumes of placed pods that use it, by node
}

func (c *claim) now() *corev1.PersistentVolumeClaim {
	if c.assumed != nil {
		return c.assumed
	}
	return c.obj
}

// volume is what is known by a PersistentVolume's name.
type volume struct {
	name     string
	obj      *corev1.PersistentVolume // as last seen; nil: not there
	assumed  *corev1.PersistentVolume // obj as Reserve wants it to be; nil: as it is
	zones    []zoneRule
	inTree   *migration // nil: it is no in-tree volume with a driver
	claims   map[kinds.Key]bool
	attached map[*node]int // attachments by node

	// How it is filed in its class.
	class  *class
	bytes  int64     // capacity; a part of a byte counts as one
	places []place   // as free; nil: it is not
	owner  kinds.Key // as bound to this claim; zero: it is not
}

func (v *volume) now() *corev1.PersistentVolume {
	if v.assumed != nil {
		return v.assumed
	}
	return v.obj
}

// class is a StorageClass with the volumes and the capacities that bear its name.
type class struct {
	name    string
	obj     *storagev1.StorageClass // nil: not there
	free    byPlace[*volume]        // by capacity, then name
	owned   map[kinds.Key][]*volume // by the claim they are for; by name
	space   byPlace[*storagev1.CSIStorageCapacity]
	members int // volumes and capacities
}

// node is a node's part: its drivers, attachments, and pods with volumes.
type node struct {
	name        string
	csi         *storagev1.CSINode // nil: not there
	migrated    []string           // in-tree plugins that its drivers serve
	limits      map[string]int64   // by driver
	pods        []*corev1.Pod
	attachments map[string]*storagev1.VolumeAttachment

	stale bool   // attached is out of date
	at    uint64 // State.classed when attached was counted
	count inUse
}

// New returns a State that knows nothing.
func New() *State {
	return &State{
		claims: map[kinds.Key]*claim{}, volumes: map[string]*volume{}, classes: map[string]*class{},
		drivers: map[string]*storagev1.CSIDriver{}, spaces: map[kinds.Key]*storagev1.CSIStorageCapacity{},
		attached: map[string]*storagev1.VolumeAttachment{}, nodes: map[string]*node{}, reserved: map[kinds.Key]*reservation{},
	}
}

// Watches are the kinds whose events See wants.
func (s *State) Watches() []kinds.Kind {
	return []kinds.Kind{kinds.PersistentVolume, kinds.PersistentVolumeClaim, kinds.StorageClass, kinds.CSINode,
		kinds.CSIDriver, kinds.CSIStorageCapacity, kinds.VolumeAttachment}
}

// Changes grows whenever something that the plugins go by may have changed: what an
// Ask said holds as long as it stays the same.
func (s *State) Changes() uint64 { return s.changes }

// See takes in an event; those of other kinds are passed over.
func (s *State) See(e store.Event) {
	gone := e.Type == store.Deleted
	s.changes++
	switch o := e.Object.(type) {
	case *corev1.PersistentVolumeClaim:
		s.seeClaim(o, gone)
	case *corev1.PersistentVolume:
		s.seeVolume(o, gone)
	case *storagev1.StorageClass:
		s.classed++
		c := s.classOf(o.Name)
		if c.obj = o; gone {
			c.obj = nil
		}
		s.pruneClass(c)
	case *storagev1.CSIDriver:
		if s.drivers[o.Name] = o; gone {
			delete(s.drivers, o.Name)
		}
	case *storagev1.CSINode:
		s.seeNode(o, gone)
	case *storagev1.CSIStorageCapacity:
		s.seeCapacity(o, gone)
	case *storagev1.VolumeAttachment:
		s.seeAttachment(o, gone)
	default:
		s.changes--
	}
}

// Place counts a pod's volumes as used on the node. It is called once for a pod,
// before Remove.
func (s *State) Place(pod *corev1.Pod, on string) {
	if Concerns(pod) {
		s.changes++
		n := s.nodeOf(on)
		n.pods, n.stale = append(n.pods, pod), true
		s.use(pod, n, 1)
	}
}

// Remove takes back what Place did.
func (s *State) Remove(pod *corev1.Pod, on string) {
	if !Concerns(pod) {
		return
	}
	n := s.nodeOf(on)
	i := slices.IndexFunc(n.pods, func(p *corev1.Pod) bool { return samePod(p, pod) })
	if i < 0 {
		panic("sched/volumes: pod " + pod.Namespace + "/" + pod.Name + " is removed from node " + on + ", where it was not placed")
	}
	s.changes++
	s.use(n.pods[i], n, -1)
	n.pods, n.stale = slices.Delete(n.pods, i, i+1), true
	s.pruneNode(n)
}

// use counts the claims of a pod on a node.
func (s *State) use(pod *corev1.Pod, n *node, by int) {
	for i := range pod.Spec.Volumes {
		name, ephemeral, ok := claimName(pod, &pod.Spec.Volumes[i])
		if !ok {
			continue
		}
		key := kinds.Key{Namespace: pod.Namespace, Name: name}
		c := s.claimOf(key)
		if !ephemeral {
			c.direct += by
		}
		count(&c.on, n, by)
		s.pruneClaim(key, c)
	}
}

func samePod(a, b *corev1.Pod) bool {
	return a.UID == b.UID && a.Name == b.Name && a.Namespace == b.Namespace
}

func count[K comparable](m *map[K]int, k K, by int) {
	if *m == nil {
		*m = map[K]int{}
	}
	if (*m)[k] += by; (*m)[k] == 0 {
		delete(*m, k)
	}
}

func (s *State) claimOf(k kinds.Key) *claim {
	c := s.claims[k]
	if c == nil {
		c = &claim{}
		s.claims[k] = c
	}
	return c
}

func (s *State) pruneClaim(k kinds.Key, c *claim) {
	if c.obj == nil && len(c.on) == 0 {
		delete(s.claims, k)
	}
}

func (s *State) volumeOf(name string) *volume {
	v := s.volumes[name]
	if v == nil {
		v = &volume{name: name}
		s.volumes[name] = v
	}
	return v
}

func (s *State) pruneVolume(v *volume) {
	if v.obj == nil && len(v.claims) == 0 && len(v.attached) == 0 {
		delete(s.volumes, v.name)
	}
}

func (s *State) classOf(name string) *class {
	c := s.classes[name]
	if c == nil {
		c = &class{name: name}
		s.classes[name] = c
	}
	return c
}

func (s *State) pruneClass(c *class) {
	if c.obj == nil && c.members == 0 {
		delete(s.classes, c.name)
	}
}

func (s *State) nodeOf(name string) *node {
	n := s.nodes[name]
	if n == nil {
		n = &node{name: name, stale: true}
		s.nodes[name] = n
	}
	return n
}

func (s *State) pruneNode(n *node) {
	if n.csi == nil && len(n.pods) == 0 && len(n.attachments) == 0 {
		delete(s.nodes, n.name)
	}
}

func (s *State) seeClaim(o *corev1.PersistentVolumeClaim, gone bool) {
	key := kinds.KeyOf(o)
	c := s.claimOf(key)
	if c.obj != nil && c.obj.Spec.VolumeName != "" {
		v := s.volumeOf(c.obj.Spec.VolumeName)
		delete(v.claims, key)
		s.pruneVolume(v)
	}
	if gone || c.obj == nil || c.obj.ResourceVersion != o.ResourceVersion {
		c.assumed = nil
	}
	if c.obj = o; gone {
		c.obj = nil
	} else if o.Spec.VolumeName != "" {
		v := s.volumeOf(o.Spec.VolumeName)
		if v.claims == nil {
			v.claims = map[kinds.Key]bool{}
		}
		v.claims[key] = true
	}
	spoil(c.on)
	s.pruneClaim(key, c)
}

// spoil marks what the nodes have attached as out of date.
func spoil(nodes map[*node]int) {
	for n := range nodes {
		n.stale = true
	}
}

func (s *State) seeVolume(o *corev1.PersistentVolume, gone bool) {
	v := s.volumeOf(o.Name)
	s.unfile(v)
	if gone || v.obj == nil || v.obj.ResourceVersion != o.ResourceVersion {
		v.assumed = nil
	}
	if v.obj, v.zones, v.inTree = o, zonesOf(o), migrate(o); gone {
		v.obj, v.zones, v.inTree = nil, nil, nil
	}
	s.file(v)
	for key := range v.claims { //det:ok sets the same mark on each
		spoil(s.claimOf(key).on)
	}
	spoil(v.attached)
	s.pruneVolume(v)
}

// file puts a volume where those who look for one find it.
func (s *State) file(v *volume) {
	pv := v.now()
	if pv == nil {
		return
	}
	c := s.classOf(classOfVolume(v.obj))
	v.class, v.bytes = c, bytesOf(pv.Spec.Capacity)
	c.members++
	switch ref := pv.Spec.ClaimRef; {
	case pv.DeletionTimestamp != nil:
	case ref != nil && ref.Name == "":
	case ref != nil:
		v.owner = kinds.Key{Namespace: ref.Namespace, Name: ref.Name}
		if c.owned == nil {
			c.owned = map[kinds.Key][]*volume{}
		}
		list := append(c.owned[v.owner], v)
		slices.SortFunc(list, func(a, b *volume) int { return strings.Compare(a.name, b.name) })
		c.owned[v.owner] = list
	case pv.Status.Phase == corev1.VolumeAvailable:
		v.places = placesOfAffinity(pv.Spec.NodeAffinity)
		c.free.add(v.places, v, bySize)
	}
}

func (s *State) unfile(v *volume) {
	c := v.class
	if c == nil {
		return
	}
	if v.owner != (kinds.Key{}) {
		c.owned[v.owner] = slices.DeleteFunc(c.owned[v.owner], func(o *volume) bool { return o == v })
		if len(c.owned[v.owner]) == 0 {
			delete(c.owned, v.owner)
		}
	}
	c.free.remove(v.places, v, bySize)
	v.class, v.places, v.owner = nil, nil, kinds.Key{}
	c.members--
	s.pruneClass(c)
}

// bySize orders volumes by capacity, then name.
func bySize(a, b *volume) int {
	return cmp.Or(cmp.Compare(a.bytes, b.bytes), strings.Compare(a.name, b.name))
}

func bytesOf(list corev1.ResourceList) int64 {
	q := list[corev1.ResourceStorage]
	return q.Value()
}

func (s *State) seeNode(o *storagev1.CSINode, gone bool) {
	n := s.nodeOf(o.Name)
	n.csi, n.migrated, n.limits, n.stale = nil, nil, nil, true
	if !gone {
		n.csi = o
		if list := o.Annotations[corev1.MigratedPluginsAnnotationKey]; list != "" {
			n.migrated = strings.Split(list, ",")
		}
		for i := range o.Spec.Drivers {
			if d := &o.Spec.Drivers[i]; d.Allocatable != nil && d.Allocatable.Count != nil {
				if n.limits == nil {
					n.limits = map[string]int64{}
				}
				n.limits[d.Name] = int64(*d.Allocatable.Count)
			}
		}
	}
	s.pruneNode(n)
}

func (s *State) seeCapacity(o *storagev1.CSIStorageCapacity, gone bool) {
	key := kinds.KeyOf(o)
	if old := s.spaces[key]; old != nil {
		c := s.classOf(old.StorageClassName)
		c.space.remove(placesOfSelector(old.NodeTopology), old, byKey)
		c.members--
		delete(s.spaces, key)
		s.pruneClass(c)
	}
	if !gone {
		c := s.classOf(o.StorageClassName)
		c.space.add(placesOfSelector(o.NodeTopology), o, byKey)
		c.members++
		s.spaces[key] = o
	}
}

func byKey(a, b *storagev1.CSIStorageCapacity) int { return kinds.KeyOf(a).Compare(kinds.KeyOf(b)) }

func (s *State) seeAttachment(o *storagev1.VolumeAttachment, gone bool) {
	if old := s.attached[o.Name]; old != nil {
		s.attach(old, -1)
		delete(s.attached, o.Name)
	}
	if !gone {
		s.attach(o, 1)
		s.attached[o.Name] = o
	}
}

func (s *State) attach(o *storagev1.VolumeAttachment, by int) {
	n := s.nodeOf(o.Spec.NodeName)
	n.stale = true
	if by < 0 {
		delete(n.attachments, o.Name)
	} else {
		if n.attachments == nil {
			n.attachments = map[string]*storagev1.VolumeAttachment{}
		}
		n.attachments[o.Name] = o
	}
	if name := o.Spec.Source.PersistentVolumeName; name != nil {
		v := s.volumeOf(*name)
		count(&v.attached, n, by)
		s.pruneVolume(v)
	}
	s.pruneNode(n)
}

// classOfClaim is the name of the class that a claim asks for; the annotation that
// once said it still goes first.
func classOfClaim(c *corev1.PersistentVolumeClaim) string {
	if name, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return name
	}
	if c.Spec.StorageClassName != nil {
		return *c.Spec.StorageClassName
	}
	return ""
}

func classOfVolume(v *corev1.PersistentVolume) string {
	if name, ok := v.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return name
	}
	return v.Spec.StorageClassName
}
