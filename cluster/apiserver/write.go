package apiserver

import (
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// readObject reads the body as an object of the resource, at its storage version.
func (c *call) readObject() (kinds.Object, error) {
	body, err := c.readBody()
	if err != nil {
		return nil, err
	}
	o, err := c.decode(body, c.res.gvk)
	if err != nil {
		return nil, err
	}
	return c.toStored(o)
}

// toStored converts what came in a body to what is stored.
func (c *call) toStored(o runtime.Object) (kinds.Object, error) {
	if !c.res.old {
		return o.(kinds.Object), nil
	}
	if e, ok := o.(*eventsv1.Event); ok {
		return toCoreEvent(e), nil
	}
	stored, warning, err := kinds.ToStorage(c.res.gvk, o)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the object cannot be converted from %s: %v", c.res.gvk.GroupVersion(), err))
	}
	c.warn(warning)
	if e, ok := stored.(*eventsv1.Event); ok {
		return toCoreEvent(e), nil
	}
	return stored, nil
}

// place puts the namespace of the path into an object, which may not name another.
func (c *call) place(o metav1.Object) error {
	if !c.res.namespaced {
		o.SetNamespace("")
		return nil
	}
	switch o.GetNamespace() {
	case "":
		o.SetNamespace(c.namespace)
	case c.namespace:
	default:
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	return nil
}

func (c *call) create() error {
	opts, err := c.writeOptions("CreateOptions")
	if err != nil {
		return err
	}
	o, err := c.readObject()
	if err != nil {
		return err
	}
	if err := c.place(o); err != nil {
		return err
	}
	r := api.Create(o)
	r.DryRun = opts.dryRun
	c.s.owners.created(o, opts.manager)
	var stored kinds.Object
	derr := c.do(func(now time.Time, a *api.API) {
		c.s.owners.stamp(o, nil, now)
		stored, err = c.write(now, a, r)
	})
	if err := firstOf(derr, err); err != nil {
		return err
	}
	c.adviseOn(stored)
	return c.answerObject(http.StatusCreated, stored)
}

// write does one write and passes the API's warnings on.
func (c *call) write(now time.Time, a *api.API, r api.Request) (kinds.Object, error) {
	if r.Object != nil {
		if at, n := kinds.LongList(r.Object, c.s.limits.ListItemsMax); at != nil {
			return nil, apierrors.NewInvalid(c.res.gvk.GroupKind(), r.Object.GetName(), field.ErrorList{field.TooMany(at, n, c.s.limits.ListItemsMax)})
		}
	}
	if admit := c.s.cfg.Admit; admit != nil {
		if err := admit(&c.user, &r, a.Store().Get(r.Ref)); err != nil {
			return nil, err
		}
	}
	r.Owners = true
	before := a.Warn
	a.Warn = c.warn
	defer func() { a.Warn = before }()
	return a.Do(now, r)
}

// conditional are the kinds of which an update must name the version it is based
// on; of any other it may.
var conditional = map[kinds.Kind]bool{kinds.PodDisruptionBudget: true, kinds.Lease: true, kinds.VolumeAttachment: true, kinds.CSINode: true, kinds.CSIDriver: true}

func (c *call) update() error {
	opts, err := c.writeOptions("UpdateOptions")
	if err != nil {
		return err
	}
	o, err := c.readObject()
	if err != nil {
		return err
	}
	if err := c.checkName(o); err != nil {
		return err
	}
	if conditional[c.res.kind] && o.GetResourceVersion() == "" {
		return apierrors.NewInvalid(c.res.gvk.GroupKind(), c.name,
			field.ErrorList{field.Invalid(field.NewPath("metadata", "resourceVersion"), 0, "must be specified for an update")})
	}
	stored, err := c.change(int(kinds.Size(o)), change{
		find: func(a *api.API) (kinds.Object, error) { return a.Get(c.ref()) },
		work: func(live kinds.Object) (kinds.Object, error) {
			next := kinds.Clone(o) // another time it may be for another state
			c.s.owners.updated(live, next, c.sub, opts.manager)
			return next, nil
		},
		write: func(now time.Time, a *api.API, live, next kinds.Object) (kinds.Object, error) {
			return c.put(now, a, live, next, opts)
		},
	})
	if err != nil {
		return err
	}
	c.adviseOn(stored)
	return c.answerObject(http.StatusOK, stored)
}

// checkName checks that the body and the path name one object.
func (c *call) checkName(o metav1.Object) error {
	if err := c.place(o); err != nil {
		return err
	}
	switch o.GetName() {
	case c.name:
	case "":
		return apierrors.NewInvalid(c.res.gvk.GroupKind(), c.name, field.ErrorList{field.Required(field.NewPath("metadata", "name"), "name is required")})
	default:
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", o.GetName(), c.name))
	}
	return nil
}

// put writes a new state of an object, or of the part of it that a subresource is, on
// the cluster's goroutine, when it is known who owns which field.
func (c *call) put(now time.Time, a *api.API, live, o kinds.Object, opts writeOptions) (kinds.Object, error) {
	r := api.Update(o)
	r.Subresource, r.DryRun = c.sub, opts.dryRun
	c.s.owners.stamp(o, live, now)
	return c.write(now, a, r)
}

// deleteOptions are those of the body and of the parameters; the body wins.
func (c *call) deleteOptions() (api.Request, error) {
	r := api.Delete(kinds.Ref{}, "")
	body, err := c.readBody()
	if err != nil {
		return r, err
	}
	o, err := c.decodeDeleteOptions(body)
	if err != nil {
		return r, err
	}
	if err := c.queryDeleteOptions(o); err != nil {
		return r, err
	}
	w, err := c.writeOptions("DeleteOptions")
	if err != nil {
		return r, err
	}
	return r, fillDelete(&r, o, w)
}

// queryDeleteOptions reads the parameters that the body leaves open.
func (c *call) queryDeleteOptions(o *metav1.DeleteOptions) error {
	q := c.query
	if s := q.Get("gracePeriodSeconds"); s != "" && o.GracePeriodSeconds == nil {
		var n int64
		if _, err := fmt.Sscanf(s, "%d", &n); err != nil {
			return apierrors.NewBadRequest(fmt.Sprintf("gracePeriodSeconds %q: must be a number", s))
		}
		o.GracePeriodSeconds = &n
	}
	if s := q.Get("propagationPolicy"); s != "" && o.PropagationPolicy == nil {
		p := metav1.DeletionPropagation(s)
		o.PropagationPolicy = &p
	}
	if s := q.Get("orphanDependents"); s != "" && o.OrphanDependents == nil {
		b := isTrue(s)
		o.OrphanDependents = &b
	}
	return nil
}

// fillDelete checks delete options and puts them into a request.
func fillDelete(r *api.Request, o *metav1.DeleteOptions, w writeOptions) error {
	var errs field.ErrorList
	if o.OrphanDependents != nil && o.PropagationPolicy != nil {
		errs = append(errs, field.Invalid(field.NewPath("propagationPolicy"), *o.PropagationPolicy, "orphanDependents and deletionPropagation cannot be both set"))
	}
	if p := o.PropagationPolicy; p != nil {
		switch *p {
		case metav1.DeletePropagationForeground, metav1.DeletePropagationBackground, metav1.DeletePropagationOrphan:
			r.Propagation = *p
		default:
			errs = append(errs, field.NotSupported(field.NewPath("propagationPolicy"), *p, []string{"Background", "Foreground", "Orphan"}))
		}
	}
	if o.OrphanDependents != nil {
		r.Propagation = metav1.DeletePropagationBackground
		if *o.OrphanDependents {
			r.Propagation = metav1.DeletePropagationOrphan
		}
	}
	r.DryRun = w.dryRun
	for _, v := range o.DryRun {
		if v != metav1.DryRunAll {
			errs = append(errs, field.NotSupported(field.NewPath("dryRun"), v, []string{metav1.DryRunAll}))
		}
		r.DryRun = true
	}
	if len(errs) > 0 {
		return invalidOptions("DeleteOptions", errs...)
	}
	if g := o.GracePeriodSeconds; g != nil {
		r.Grace = max(*g, 1) // a negative grace means one second, as upstream reads it
		if *g == 0 {
			r.Grace = 0
		}
	}
	if p := o.Preconditions; p != nil {
		if p.UID != nil {
			r.UID = types.UID(*p.UID)
		}
		if p.ResourceVersion != nil {
			r.RV = *p.ResourceVersion
		}
	}
	return nil
}

func (c *call) delete() error {
	r, err := c.deleteOptions()
	if err != nil {
		return err
	}
	r.Ref = c.ref()
	var last kinds.Object
	gone := false
	derr := c.do(func(now time.Time, a *api.API) {
		if last, err = c.write(now, a, r); err == nil {
			_, missing := a.Get(r.Ref)
			gone = missing != nil || r.DryRun && len(last.GetFinalizers()) == 0
		}
	})
	if err := firstOf(derr, err); err != nil {
		return err
	}
	if !gone || returnsDeleted[c.res.kind] {
		return c.answerObject(http.StatusOK, last)
	}
	return c.answer(http.StatusOK, c.deletedStatus(last))
}

// returnsDeleted are the kinds whose deletion is answered with the object as it
// was last, and not with a Status.
var returnsDeleted = map[kinds.Kind]bool{kinds.Pod: true, kinds.Service: true, kinds.ServiceAccount: true, kinds.PersistentVolume: true,
	kinds.PersistentVolumeClaim: true, kinds.PodTemplate: true, kinds.ResourceQuota: true, kinds.StorageClass: true,
	kinds.VolumeAttachment: true, kinds.VolumeAttributesClass: true, kinds.CSIDriver: true, kinds.CSINode: true}

func (c *call) deletedStatus(o kinds.Object) *metav1.Status {
	s := &metav1.Status{Status: metav1.StatusSuccess,
		Details: &metav1.StatusDetails{Name: o.GetName(), Group: c.res.gvr.Group, Kind: c.res.gvr.Resource, UID: o.GetUID()}}
	s.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Status"))
	return s
}

// deleteCollection deletes what a list would show, one after the other.
func (c *call) deleteCollection() error {
	o, err := c.listOptions()
	if err != nil {
		return err
	}
	template, err := c.deleteOptions()
	if err != nil {
		return err
	}
	var p page
	derr := c.do(func(now time.Time, a *api.API) {
		if p, err = c.collect(a.Store(), &o); err != nil {
			return
		}
		done := p.items[:0]
		for _, obj := range p.items {
			if !o.matches(obj) {
				continue
			}
			r := template
			r.Ref, r.UID = kinds.RefOf(obj), obj.GetUID()
			last, derr := c.write(now, a, r)
			if derr != nil && !apierrors.IsNotFound(derr) && !apierrors.IsConflict(derr) {
				err = derr
				return
			}
			if derr == nil {
				done = append(done, last)
			}
		}
		p.items, p.rv = done, a.Store().RV()
	})
	if err := firstOf(derr, err); err != nil {
		return err
	}
	return c.answerList(&p)
}

// createVirtual answers for a resource that is not stored.
func (c *call) createVirtual(v *Virtual) error {
	if err := c.negotiate(formTable); err != nil { // it has no columns
		return err
	}
	opts, err := c.writeOptions("CreateOptions")
	if err != nil {
		return err
	}
	body, err := c.readBody()
	if err != nil {
		return err
	}
	o, err := c.decode(body, v.Kind)
	if err != nil {
		return err
	}
	answer, err := v.Create(c.r.Context(), VirtualRequest{User: c.user, Namespace: c.namespace, Name: c.name, Object: o, DryRun: opts.dryRun})
	if err != nil {
		return err
	}
	answer = answer.DeepCopyObject()
	answer.GetObjectKind().SetGroupVersionKind(v.Kind)
	return c.answer(http.StatusCreated, answer)
}
