package volumes

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// cluster is what a state has been told, to tell it again to another.
type cluster struct {
	objects map[kinds.Ref]kinds.Object
	placed  []*corev1.Pod
	rv      int
}

func one[T any](t *rapid.T, label string, of ...T) T { return rapid.SampledFrom(of).Draw(t, label) }

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}
}

func quantity(gib int64) *resource.Quantity { return resource.NewQuantity(gib<<30, resource.BinarySI) }

func storage(gib int64) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: *quantity(gib)}
}

var (
	someClaims        = []string{"c0", "c1", "c2", "c3"}
	someVolumes       = []string{"v0", "v1", "v2", "v3", "v4"}
	someClasses       = []string{"", "later", "local", "now"}
	zoneLabelsOfTests = []string{corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion}

	someNodes = []string{"n0", "n1", "n2"}
	someModes = [][]corev1.PersistentVolumeAccessMode{{corev1.ReadWriteOnce}, {corev1.ReadWriteOncePod}, {corev1.ReadWriteOnce, corev1.ReadWriteMany}}
)

func drawAffinity(t *rapid.T) *corev1.VolumeNodeAffinity {
	term := func() corev1.NodeSelectorTerm {
		r := corev1.NodeSelectorRequirement{
			Key:      one(t, "key", "zone", "host"),
			Operator: one(t, "operator", corev1.NodeSelectorOpIn, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn, corev1.NodeSelectorOpExists)}
		if r.Operator != corev1.NodeSelectorOpExists {
			r.Values = one(t, "values", []string{"z0"}, []string{"z0", "z1"}, []string{"n1"}, []string{"n0", "n2"})
		}
		return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{r}}
	}
	switch rapid.IntRange(0, 3).Draw(t, "terms") {
	case 1:
		return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{term()}}}
	case 2:
		return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{term(), {}, term()}}}
	}
	return nil
}

func drawClaim(t *rapid.T) kinds.Object {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: meta(one(t, "claim", someClaims...))}
	c.Namespace = "default"
	c.Spec = corev1.PersistentVolumeClaimSpec{AccessModes: one(t, "modes", someModes...), StorageClassName: new(string),
		Resources: corev1.VolumeResourceRequirements{Requests: storage(rapid.Int64Range(1, 4).Draw(t, "size"))}}
	*c.Spec.StorageClassName = one(t, "class", someClasses...)
	if rapid.IntRange(0, 5).Draw(t, "selects") == 0 {
		c.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"kind": "fast"}}
	}
	if rapid.IntRange(0, 5).Draw(t, "ephemeral") == 0 {
		c.Name = "p1000-e"
		c.OwnerReferences = []metav1.OwnerReference{{Kind: "Pod", Name: "p1000", UID: one(t, "owner", types.UID("uid-p1000"), "other"), Controller: new(bool)}}
		*c.OwnerReferences[0].Controller = true
	}
	if rapid.Bool().Draw(t, "bound") {
		c.Spec.VolumeName = one(t, "volume", someVolumes...)
		c.Annotations = map[string]string{bindCompleted: "yes"}
	} else if rapid.IntRange(0, 3).Draw(t, "selected") == 0 {
		c.Annotations = map[string]string{selectedNode: one(t, "node", someNodes...)}
	}
	return c
}

func drawVolume(t *rapid.T) kinds.Object {
	v := &corev1.PersistentVolume{ObjectMeta: meta(one(t, "volume", someVolumes...))}
	v.Spec = corev1.PersistentVolumeSpec{AccessModes: one(t, "modes", someModes...), StorageClassName: one(t, "class", someClasses...),
		Capacity: storage(rapid.Int64Range(1, 4).Draw(t, "size")), NodeAffinity: drawAffinity(t)}
	v.Status.Phase = one(t, "phase", corev1.VolumeAvailable, corev1.VolumeAvailable, corev1.VolumeBound)
	if rapid.IntRange(0, 2).Draw(t, "owned") == 0 {
		name := one(t, "owner", someClaims...)
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "default", Name: name, UID: one(t, "uid", "", types.UID("uid-"+name), "other")}
	}
	switch rapid.IntRange(0, 3).Draw(t, "source") {
	case 0:
		v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "d", VolumeHandle: v.Name}
	case 2:
		v.Spec.GCEPersistentDisk = &corev1.GCEPersistentDiskVolumeSource{PDName: v.Name}
	case 1:
		v.Spec.AWSElasticBlockStore = &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: v.Name}
	}
	if rapid.IntRange(0, 3).Draw(t, "labelled") == 0 {
		v.Labels = map[string]string{one(t, "label", zoneLabelsOfTests...): one(t, "zone", "z0", "z1", "z0__z1", "r-1-a__r-1-b", "z0__")}
	}
	if rapid.IntRange(0, 2).Draw(t, "fast") == 0 {
		metav1.SetMetaDataLabel(&v.ObjectMeta, "kind", "fast")
	}
	if mode := corev1.PersistentVolumeBlock; rapid.IntRange(0, 5).Draw(t, "block") == 0 {
		v.Spec.VolumeMode = &mode
	}
	return v
}

// drawOther draws what neither is a claim nor a volume.
func drawOther(t *rapid.T) kinds.Object {
	yes := true
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		modes := map[string]storagev1.VolumeBindingMode{"now": storagev1.VolumeBindingImmediate}
		c := &storagev1.StorageClass{ObjectMeta: meta(one(t, "class", someClasses[1:]...)), Provisioner: one(t, "provisioner", "d", pluginEBS, noProvisioner)}
		mode := storagev1.VolumeBindingWaitForFirstConsumer
		if m, ok := modes[c.Name]; ok {
			mode = m
		}
		c.VolumeBindingMode = &mode
		if rapid.IntRange(0, 3).Draw(t, "allowed") == 0 {
			c.AllowedTopologies = []corev1.TopologySelectorTerm{{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: "zone", Values: one(t, "zones", []string{"z0"}, []string{"z1", "z2"})}}}}
		}
		return c
	case 1:
		n := &storagev1.CSINode{ObjectMeta: meta(one(t, "node", someNodes...))}
		count := rapid.Int32Range(0, 3).Draw(t, "limit")
		n.Spec.Drivers = []storagev1.CSINodeDriver{{Name: one(t, "driver", "d", driverOf(pluginEBS)), Allocatable: &storagev1.VolumeNodeResources{Count: &count}}}
		if rapid.Bool().Draw(t, "migrated") {
			n.Annotations = map[string]string{corev1.MigratedPluginsAnnotationKey: pluginEBS + "," + pluginGCE}
		}
		return n
	case 2:
		d := &storagev1.CSIDriver{ObjectMeta: meta("d")}
		if rapid.Bool().Draw(t, "counted") {
			d.Spec.StorageCapacity = &yes
		}
		if rapid.Bool().Draw(t, "prevents") {
			d.Spec.PreventPodSchedulingIfMissing = &yes
		}
		return d
	case 3:
		c := &storagev1.CSIStorageCapacity{ObjectMeta: meta(one(t, "space", "s0", "s1")), StorageClassName: one(t, "class", someClasses...), Capacity: quantity(rapid.Int64Range(1, 4).Draw(t, "room"))}
		c.NodeTopology = one(t, "topology", nil, &metav1.LabelSelector{}, &metav1.LabelSelector{MatchLabels: map[string]string{"zone": "z0"}},
			&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "host", Operator: metav1.LabelSelectorOpIn, Values: []string{"n0", "n1"}}}})
		return c
	}
	va := &storagev1.VolumeAttachment{ObjectMeta: meta(one(t, "attachment", "a0", "a1"))}
	name := one(t, "volume", someVolumes...)
	va.Spec = storagev1.VolumeAttachmentSpec{Attacher: "d", NodeName: one(t, "node", someNodes...), Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &name}}
	return va
}

func drawPod(t *rapid.T, i int) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: meta(fmt.Sprintf("p%d", i))}
	p.Namespace = "default"
	for range rapid.IntRange(1, 2).Draw(t, "volumes") {
		v := corev1.Volume{Name: "v"}
		switch rapid.IntRange(0, 5).Draw(t, "source") {
		case 0:
			v.AWSElasticBlockStore = &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: one(t, "disk", "v0", "v1")}
		case 1:
			v.GCEPersistentDisk = &corev1.GCEPersistentDiskVolumeSource{PDName: one(t, "disk", "x", "y"), ReadOnly: rapid.Bool().Draw(t, "reads")}
		case 2:
			v.Name, v.Ephemeral = "e", &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{}}
		default:
			v.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: one(t, "claim", someClaims...)}
		}
		p.Spec.Volumes = append(p.Spec.Volumes, v)
	}
	return p
}

func (c *cluster) tell(s *State, o kinds.Object, gone bool) {
	ref := kinds.RefOf(o)
	c.rv++
	o.SetResourceVersion(strconv.Itoa(c.rv))
	e := store.Event{Type: store.Added, Ref: ref, Object: o}
	old := c.objects[ref]
	switch {
	case gone && old == nil:
		return
	case gone:
		e.Type, e.Object, e.Old = store.Deleted, old, old
		delete(c.objects, ref)
	case old != nil:
		e.Type, e.Old = store.Modified, old
		fallthrough
	default:
		c.objects[ref] = o
	}
	s.See(e)
}

func drawStep(t *rapid.T, c *cluster, s *State, i int) {
	gone := rapid.IntRange(0, 4).Draw(t, "gone") == 0
	switch rapid.IntRange(0, 4).Draw(t, "step") {
	case 0:
		c.tell(s, drawClaim(t), gone)
	case 1:
		c.tell(s, drawVolume(t), gone)
	case 2:
		c.tell(s, drawOther(t), gone)
	case 3:
		p := drawPod(t, i)
		p.Spec.NodeName = one(t, "on", someNodes...)
		s.Place(p, p.Spec.NodeName)
		c.placed = append(c.placed, p)
	case 4:
		if n := len(c.placed); n > 0 {
			j := rapid.IntRange(0, n-1).Draw(t, "which")
			s.Remove(c.placed[j], c.placed[j].Spec.NodeName)
			c.placed = slices.Delete(c.placed, j, j+1)
		}
	}
}

func theNodes() []*corev1.Node {
	var out []*corev1.Node
	for i, name := range someNodes {
		zone := fmt.Sprintf("z%d", i%2)
		out = append(out, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"zone": zone, "host": name, corev1.LabelTopologyZone: zone, "topology.ebs.csi.aws.com/zone": zone}}})
	}
	return out
}

// answers is all that a state says of a pod.
func answers(s *State, pod *corev1.Pod, without []*corev1.Pod) []string {
	a, refused := s.Ask(pod, All)
	if refused != nil {
		return []string{text(refused)}
	}
	var out []string
	for _, n := range theNodes() {
		for _, plugin := range []string{Restrictions, Limits, Binding, Zone} {
			out = append(out, n.Name+" "+plugin+" "+text(a.Filter(plugin, n, nil, without)))
		}
		out = append(out, fmt.Sprint(a.Score(n, DefaultShape())))
	}
	return out
}

// TestIncremental: a state that has seen a history answers as one that was told only
// how things are, in any order; and what was reserved and taken back leaves no trace.
func TestIncremental(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, s := &cluster{objects: map[kinds.Ref]kinds.Object{}}, New()
		probe := drawPod(t, 1000)
		for i := range rapid.IntRange(0, 40).Draw(t, "steps") {
			drawStep(t, c, s, i)
			if rapid.IntRange(0, 4).Draw(t, "look") == 0 {
				answers(s, probe, nil) // fills what is kept between questions
			}
			if a, refused := s.Ask(probe, All); refused == nil && rapid.Bool().Draw(t, "reserve") {
				a.Reserve(theNodes()[rapid.IntRange(0, 2).Draw(t, "where")])
				s.Unreserve(probe)
			}
		}
		var refs []kinds.Ref
		for ref := range c.objects {
			refs = append(refs, ref)
		}
		slices.SortFunc(refs, kinds.Ref.Compare)
		fresh := New()
		for _, i := range rapid.Permutation(refs).Draw(t, "order") {
			fresh.See(store.Event{Type: store.Added, Ref: i, Object: c.objects[i]})
		}
		for _, p := range c.placed {
			fresh.Place(p, p.Spec.NodeName)
		}
		require.Equal(t, answers(fresh, probe, nil), answers(s, probe, nil))
		if len(c.placed) > 0 {
			victims := c.placed[:1]
			require.Equal(t, answers(fresh, probe, victims), answers(s, probe, victims))
			left := New()
			for _, i := range refs {
				left.See(store.Event{Type: store.Added, Ref: i, Object: c.objects[i]})
			}
			for _, p := range c.placed[1:] {
				left.Place(p, p.Spec.NodeName)
			}
			if !slices.ContainsFunc(someModesOf(c), func(m corev1.PersistentVolumeAccessMode) bool { return m == corev1.ReadWriteOncePod }) {
				require.Equal(t, answers(left, probe, nil), answers(s, probe, victims), "a victim counts as a pod that is not there")
			}
		}
		require.Equal(t, len(fresh.claims)+len(fresh.volumes)+len(fresh.classes)+len(fresh.nodes),
			len(s.claims)+len(s.volumes)+len(s.classes)+len(s.nodes), "what is over is forgotten")
	})
}

// someModesOf are the access modes of all claims: kube-scheduler counts the pods that
// use a ReadWriteOncePod claim by claim, and its victims by volume.
func someModesOf(c *cluster) []corev1.PersistentVolumeAccessMode {
	var out []corev1.PersistentVolumeAccessMode
	for _, o := range c.objects {
		if claim, ok := o.(*corev1.PersistentVolumeClaim); ok {
			out = append(out, claim.Spec.AccessModes...)
		}
	}
	return out
}

// slowFind is VolumeBinding's choice of a volume as a walk over all of them.
func slowFind(s *State, c *corev1.PersistentVolumeClaim, n *corev1.Node) string {
	var best *volume
	for _, name := range someVolumes {
		v := s.volumes[name]
		if v == nil || v.obj == nil || v.obj.Spec.StorageClassName != *c.Spec.StorageClassName || v.bytes < bytesOf(c.Spec.Resources.Requests) {
			continue
		}
		if isFor(v.obj, c) && v.obj.Spec.VolumeMode == nil {
			if !reaches(v.obj.Spec.NodeAffinity, n) {
				return ""
			}
			return name
		}
		if v.obj.Spec.VolumeMode != nil || c.Spec.Selector != nil && v.obj.Labels["kind"] != "fast" || v.obj.Spec.ClaimRef != nil || v.obj.Status.Phase != corev1.VolumeAvailable || !reaches(v.obj.Spec.NodeAffinity, n) ||
			slices.ContainsFunc(c.Spec.AccessModes, func(m corev1.PersistentVolumeAccessMode) bool {
				return !slices.Contains(v.obj.Spec.AccessModes, m)
			}) {
			continue
		}
		if best == nil || v.bytes < best.bytes {
			best = v
		}
	}
	if best == nil {
		return ""
	}
	return best.name
}

// TestSmallest: the index finds the volume that a walk over all would.
func TestSmallest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, s := &cluster{objects: map[kinds.Ref]kinds.Object{}}, New()
		for range rapid.IntRange(0, 20).Draw(t, "volumes") {
			c.tell(s, drawVolume(t), rapid.IntRange(0, 5).Draw(t, "gone") == 0)
		}
		claim := drawClaim(t).(*corev1.PersistentVolumeClaim)
		a := &Ask{s: s}
		w := want{claim: claim, bytes: bytesOf(claim.Spec.Resources.Requests), class: s.classOf(*claim.Spec.StorageClassName)}
		for _, n := range theNodes() {
			got := ""
			if a.static = a.static[:0]; a.findFree(&w, n) {
				got = a.static[0].volume.name
			}
			require.Equal(t, slowFind(s, claim, n), got)
		}
	})
}

// large is a cluster of nodes with a local volume each and pods that use others.
func large(nodes int) (*State, []*corev1.Node, *corev1.Pod) {
	c, s := &cluster{objects: map[kinds.Ref]kinds.Object{}}, New()
	mode, count := storagev1.VolumeBindingWaitForFirstConsumer, int32(39)
	c.tell(s, &storagev1.StorageClass{ObjectMeta: meta("local"), Provisioner: noProvisioner, VolumeBindingMode: &mode}, false)
	class := "local"
	claim := func(name string) *corev1.PersistentVolumeClaim {
		o := &corev1.PersistentVolumeClaim{ObjectMeta: meta(name)}
		o.Namespace, o.Spec.AccessModes, o.Spec.StorageClassName = "default", someModes[0], &class
		o.Spec.Resources.Requests = storage(1)
		return o
	}
	pod := func(name string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: meta(name)}
		p.Namespace = "default"
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}}}
		return p
	}
	var all []*corev1.Node
	for i := range nodes {
		name := fmt.Sprintf("n%d", i)
		all = append(all, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"host": name}}})
		v := &corev1.PersistentVolume{ObjectMeta: meta("free-" + name)}
		v.Spec = corev1.PersistentVolumeSpec{AccessModes: someModes[0], StorageClassName: class, Capacity: storage(int64(1 + i%7))}
		v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "host", Operator: corev1.NodeSelectorOpIn, Values: []string{name}}}}}}}
		v.Status.Phase = corev1.VolumeAvailable
		c.tell(s, v, false)
		c.tell(s, &storagev1.CSINode{ObjectMeta: meta(name), Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{
			{Name: noProvisioner, Allocatable: &storagev1.VolumeNodeResources{Count: &count}}}}}, false)
		c.tell(s, claim("used-"+name), false)
		s.Place(pod("used-"+name), name)
	}
	c.tell(s, claim("new"), false)
	return s, all, pod("new")
}

var everyPlugin = []string{Restrictions, Limits, Binding, Zone}

// TestNoAllocation: a node that passes costs no memory.
func TestNoAllocation(t *testing.T) {
	s, nodes, pod := large(3)
	a, refused := s.Ask(pod, All)
	require.Nil(t, refused)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for _, n := range nodes {
			for _, plugin := range everyPlugin {
				if r := a.Filter(plugin, n, nil, nil); r != nil {
					t.Fatal(text(r))
				}
			}
			a.Score(n, []Point{{0, 10}, {100, 0}})
		}
	}))
	idle := &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "v"}}}}
	require.Zero(t, testing.AllocsPerRun(100, func() { Concerns(idle) }))
}

// BenchmarkFilter is all plugins on 5,000 nodes with as many free volumes, one placed
// pod a turn between.
func BenchmarkFilter(b *testing.B) {
	s, nodes, pod := large(5000)
	other := pod.DeepCopy()
	other.Name = "other"
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		on := nodes[i%len(nodes)].Name
		s.Place(other, on)
		a, _ := s.Ask(pod, All)
		for _, n := range nodes {
			for _, plugin := range everyPlugin {
				a.Filter(plugin, n, nil, nil)
			}
		}
		s.Remove(other, on)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(nodes)), "ns/node")
}
