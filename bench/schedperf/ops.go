package schedperf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

func (o *createNodes) run(x *run) error {
	nodes := make([]*corev1.Node, o.Count)
	lists := make([][]api.Request, o.Count)
	for i := range nodes {
		nodes[i] = basicNode(fmt.Sprintf("node-%d-", o.index))
		if o.source != nil {
			obj, err := o.source.object(o.TemplateParams, i, o.Count)
			if err != nil {
				return err
			}
			nodes[i] = obj.(*corev1.Node)
		}
		if err := x.nameNode(nodes[i]); err != nil {
			return err
		}
		lists[i] = []api.Request{api.Create(nodes[i].DeepCopy())}
	}
	if err := x.makeAll(lists); err != nil {
		return err
	}
	x.nodes += o.Count
	// Upstream prepares the nodes in the order of their names.
	slices.SortFunc(nodes, func(a, b *corev1.Node) int { return strings.Compare(a.Name, b.Name) })
	for i, n := range nodes {
		lists[i] = o.strategy(n, i)
	}
	return x.makeAll(lists)
}

// nameNode gives a node its name and the label that a kubelet would, before it is made.
func (x *run) nameNode(n *corev1.Node) error {
	for try := 0; n.Name == ""; try++ {
		const letters = "bcdfghjklmnpqrstvwxz2456789"
		var suffix [5]byte
		for i := range suffix {
			suffix[i] = letters[x.rand.IntN(len(letters))]
		}
		if name := n.GenerateName + string(suffix[:]); !x.names[name] {
			n.Name = name
		} else if try == nodeNameTries {
			return fmt.Errorf("no name is free that begins with %s", n.GenerateName)
		}
	}
	x.names[n.Name] = true
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	n.Labels[corev1.LabelHostname] = n.Name
	return nil
}

// strategy lists what is to be done to a node after it is made.
func (o *createNodes) strategy(n *corev1.Node, i int) []api.Request {
	switch {
	case o.NodeAllocatableStrategy != nil:
		// Upstream patches the node itself with what belongs to its status, which the
		// API server leaves out; only the CSINode counts.
		s := o.NodeAllocatableStrategy
		csi := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: n.Name,
			Annotations: map[string]string{corev1.MigratedPluginsAnnotationKey: strings.Join(s.MigratedPlugins, ",")}}}
		for _, driver := range sortedKeys(s.CSINodeAllocatable) {
			csi.Spec.Drivers = append(csi.Spec.Drivers, storagev1.CSINodeDriver{Name: driver, NodeID: n.Name, Allocatable: s.CSINodeAllocatable[driver]})
		}
		return []api.Request{api.Create(csi)}
	case o.LabelNodePrepareStrategy != nil:
		s := o.LabelNodePrepareStrategy
		n.Labels[s.LabelKey] = s.LabelValues[i%len(s.LabelValues)]
	case o.UniqueNodeLabelStrategy != nil:
		n.Labels[o.UniqueNodeLabelStrategy.LabelKey] = n.Name
	default:
		return nil
	}
	return []api.Request{api.Update(n)}
}

func (o *createNamespaces) run(x *run) error {
	for i := range o.Count {
		ns := &corev1.Namespace{}
		if o.source != nil {
			obj, err := o.source.object(nil, i, o.Count)
			if err != nil {
				return err
			}
			ns = obj.(*corev1.Namespace)
		}
		ns.Name = fmt.Sprintf("%s-%d", o.Prefix, i)
		if err := x.makeNamespace(ns); err != nil {
			return err
		}
	}
	return nil
}

func (o *createPods) run(x *run) error {
	if err := x.namespace(o.namespace); err != nil {
		return err
	}
	lists := make([][]api.Request, o.Count) // made before the clock runs
	for i := range lists {
		var err error
		if lists[i], err = o.pod(i, o.Count); err != nil {
			return err
		}
	}
	if o.CollectMetrics {
		if err := x.start(o.namespace, []string{o.namespace}, nil); err != nil {
			return err
		}
	}
	if err := o.make(x, lists); err != nil {
		return err
	}
	if o.CollectMetrics {
		return x.stop()
	}
	return nil
}

func (o *createPods) make(x *run, lists [][]api.Request) error {
	if o.SteadyState {
		return o.steady(x, lists)
	}
	if err := x.makeAll(lists); err != nil {
		return err
	}
	if o.SkipWaitToCompletion {
		x.waiting[o.namespace] += o.Count
		return nil
	}
	return x.waitPods(o.namespace, nil, stageScheduled, o.Count)
}

// pod lists what it takes to make one pod: its claim and volume, bound to each other,
// and the pod.
func (o *createPods) pod(i, count int) ([]api.Request, error) {
	pod := basicPod()
	if o.source != nil {
		obj, err := o.source.object(o.TemplateParams, i, count)
		if err != nil {
			return nil, err
		}
		pod = obj.(*corev1.Pod)
		if pod.Labels == nil {
			pod.Labels = map[string]string{}
		}
		pod.Labels["signature"] = fmt.Sprintf("signature-label-%d", i/o.SignatureBatchSize)
	}
	pod.Namespace = o.namespace
	if o.claim == nil {
		return []api.Request{api.Create(pod)}, nil
	}
	obj, err := o.claim.object(nil, i, count)
	if err != nil {
		return nil, err
	}
	claim := obj.(*corev1.PersistentVolumeClaim)
	if obj, err = o.volume.object(nil, i, count); err != nil {
		return nil, err
	}
	pv := obj.(*corev1.PersistentVolume)
	claim.Namespace, claim.Name = o.namespace, fmt.Sprintf("pvc-%d", i)
	pv.Name = fmt.Sprintf("%s-vol-%d", o.namespace, i)
	switch {
	case pv.Spec.CSI != nil:
		pv.Spec.CSI.VolumeHandle = pv.Name
	case pv.Spec.AWSElasticBlockStore != nil:
		pv.Spec.AWSElasticBlockStore.VolumeID = fmt.Sprintf("vol-%d", i)
	}
	pv.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace, Name: claim.Name}
	claim.Spec.VolumeName = pv.Name
	boundClaim, boundVolume := claim.DeepCopy(), pv.DeepCopy()
	boundClaim.Status.Phase, boundVolume.Status.Phase = corev1.ClaimBound, corev1.VolumeBound
	pod.Spec.Volumes = []corev1.Volume{{Name: "vol", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name}}}}
	return []api.Request{api.Create(claim), api.UpdateStatus(boundClaim), api.Create(pv), api.UpdateStatus(boundVolume), api.Create(pod)}, nil
}

// steady keeps the same number of pods waiting: each that gets a node is deleted, and
// another is made in its place, until the time is over.
func (o *createPods) steady(x *run, lists [][]api.Request) error {
	var placed []kinds.Key
	x.bound = func(pod *corev1.Pod) {
		if pod.Namespace == o.namespace {
			placed = append(placed, kinds.KeyOf(pod))
		}
	}
	defer func() { x.bound = nil }()
	end := x.c.Now().Add(o.Duration.Duration)
	total := 0
	for i := 0; x.c.Now().Before(end); i++ {
		for _, key := range placed {
			r := api.Delete(kinds.Ref{Kind: kinds.Pod, Key: key}, "")
			r.Grace = 0
			next, err := o.pod(0, 1)
			if err != nil {
				return err
			}
			lists = append(lists, append([]api.Request{r}, next...))
		}
		total += len(placed)
		placed = placed[:0]
		if err := x.c.DoAll(lists); err != nil {
			return err
		}
		lists = lists[:0]
		if _, err := x.pump(end); err != nil {
			return err
		}
	}
	if total == 0 {
		return fmt.Errorf("no pod at all got a node in %v", o.Duration.Duration)
	}
	return nil
}

func (o *createObjects) run(x *run) error {
	if o.Namespace != "" {
		if err := x.namespace(o.Namespace); err != nil {
			return err
		}
	}
	lists := make([][]api.Request, o.Count)
	for i := range lists {
		obj, err := o.source.object(o.TemplateParams, i, o.Count)
		if err != nil {
			return err
		}
		obj.SetNamespace(o.Namespace)
		lists[i] = []api.Request{api.Create(obj)}
	}
	return x.makeAll(lists)
}

func (o *updateObjects) run(x *run) error {
	if o.Namespace != "" {
		if err := x.namespace(o.Namespace); err != nil {
			return err
		}
	}
	update := func(i int) error {
		obj, err := o.source.object(nil, i, o.Count)
		if err != nil {
			return err
		}
		obj.SetNamespace(o.Namespace)
		status := kinds.Clone(obj)
		kinds.Default(status) // a node's allocatable, as an API server reads it
		r := api.Update(obj)
		if len(o.Subresources) > 0 {
			r.Subresource = o.Subresources[0]
		}
		if _, err := x.c.Do(r); err != nil {
			return fmt.Errorf("%s: %w", r, err)
		}
		if kinds.Of(obj).Info().Status {
			if _, err := x.c.Do(api.UpdateStatus(status)); err != nil {
				return fmt.Errorf("%s: %w", api.UpdateStatus(status), err)
			}
		}
		return nil
	}
	return x.atRate(o.UpdatePerSecond, o.Count, true, update)
}

// atRate does something n times, so many a second; 0 is all at once. With wait, it
// returns when all is done, else the timers go on with it.
func (x *run) atRate(perSecond, n int, wait bool, do func(i int) error) error {
	if perSecond == 0 {
		for i := range n {
			if err := do(i); err != nil {
				return err
			}
		}
		return nil
	}
	if n == 0 {
		return nil
	}
	i := 0
	x.every(time.Second/time.Duration(perSecond), func() (bool, error) {
		i++
		return i == n, do(i - 1)
	})
	if !wait {
		return nil
	}
	return x.wait(waitMax+time.Duration(n)*time.Second/time.Duration(perSecond), func() string { return fmt.Sprintf("%d of %d objects", i, n) }, func() bool { return i == n })
}

func (o *deletePods) run(x *run) error {
	list, err := x.c.List(kinds.Pod, o.Namespace)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(slices.Clone(list), func(obj kinds.Object) bool {
		pod, ok := obj.(*corev1.Pod)
		return !ok || !hasLabels(pod, o.LabelSelector)
	})
	return x.atRate(o.DeletePodsPerSecond, len(list), !o.SkipWaitToCompletion, func(i int) error {
		_, err := x.c.Do(api.Delete(kinds.RefOf(list[i]), ""))
		if apierrors.IsNotFound(err) {
			return nil // something else, a preemption say, was quicker
		}
		return err
	})
}

func (o *churn) run(x *run) error {
	if err := x.namespace(o.namespace); err != nil {
		return err
	}
	interval := churnEvery
	if o.IntervalMilliseconds > 0 {
		interval = time.Duration(o.IntervalMilliseconds) * time.Millisecond
	}
	turns := 0
	made := make([]kinds.Ref, len(o.sources)*max(1, o.Number)) // in mode recreate
	x.every(interval, func() (bool, error) {
		for i, m := range o.sources {
			slot := &made[i*max(1, o.Number)+turns%max(1, o.Number)]
			if o.Mode == modeCreate {
				slot = new(kinds.Ref)
			}
			if err := o.turn(x, m, slot); err != nil {
				return false, err
			}
		}
		turns++
		return o.Mode == modeCreate && turns == o.Number, nil
	})
	return nil
}

// turn makes the object of a slot, or deletes it where it is there.
func (o *churn) turn(x *run, m *manifest, slot *kinds.Ref) error {
	x.churned++
	if slot.Kind != 0 {
		_, err := x.c.Do(api.Delete(*slot, ""))
		*slot = kinds.Ref{}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	obj, err := m.object(nil, 0, 1)
	if err != nil {
		return err
	}
	if kinds.Of(obj).Info().Namespaced {
		obj.SetNamespace(o.namespace)
	}
	live, err := x.c.Do(api.Create(obj))
	if apierrors.IsAlreadyExists(err) {
		return nil // a template with a name makes one object, as upstream has it
	}
	if err != nil {
		return fmt.Errorf("churn with %s: %w", m.path, err)
	}
	*slot = kinds.RefOf(live)
	return nil
}

func (o *barrier) run(x *run) error {
	namespaces := o.Namespaces
	if len(namespaces) == 0 {
		namespaces = sortedKeys(x.waiting)
	}
	for _, ns := range namespaces {
		if !x.created[ns] {
			return fmt.Errorf("there is no namespace %s", ns)
		}
		if err := x.waitPods(ns, o.LabelSelector, o.StageRequirement, x.waiting[ns]); err != nil {
			return err
		}
	}
	if o.StageRequirement == stageScheduled {
		for _, ns := range namespaces {
			delete(x.waiting, ns)
		}
	}
	return nil
}

func (o *sleep) run(x *run) error {
	end := x.c.Now().Add(o.Duration.Duration)
	for x.c.Now().Before(end) {
		if _, err := x.pump(end); err != nil {
			return err
		}
	}
	return nil
}

func (o *startCollecting) run(x *run) error { return x.start(o.Name, o.Namespaces, o.LabelSelector) }

func (o *stopCollecting) run(x *run) error {
	if x.phase == nil {
		return errors.New("nothing is being measured; begin with startCollectingMetrics")
	}
	return x.stop()
}
