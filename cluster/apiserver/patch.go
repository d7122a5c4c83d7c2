package apiserver

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

const patchTypes = string(types.JSONPatchType) + ", " + string(types.MergePatchType) + ", " + string(types.StrategicMergePatchType) + ", " + string(types.ApplyYAMLPatchType)

// readPatch reads and checks a patch. A JSON patch comes back as it was; the body
// of an apply as JSON.
func (c *call) readPatch() (types.PatchType, []byte, error) {
	media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	t := types.PatchType(media)
	switch {
	case err != nil:
		return t, nil, unsupportedMedia(patchTypes)
	case t != types.JSONPatchType && t != types.MergePatchType && t != types.StrategicMergePatchType && t != types.ApplyYAMLPatchType:
		return t, nil, unsupportedMedia(patchTypes)
	}
	body, err := c.readBody()
	if err != nil {
		return t, nil, err
	}
	if t == types.ApplyYAMLPatchType {
		if body, err = c.yamlToJSON(body); err != nil {
			return t, nil, err
		}
	}
	if !shallowerThan(body, c.s.limits.BodyDepthMax) {
		return t, nil, apierrors.NewBadRequest(fmt.Sprintf("the patch has more than %d objects and lists inside each other", c.s.limits.BodyDepthMax))
	}
	if t == types.JSONPatchType {
		var ops []json.RawMessage
		if err := json.Unmarshal(body, &ops); err != nil {
			return t, nil, apierrors.NewBadRequest("error decoding patch: " + err.Error())
		}
		if len(ops) > c.s.limits.PatchOpsMax {
			return t, nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("The allowed maximum operations in a JSON patch is %d, got %d", c.s.limits.PatchOpsMax, len(ops)))
		}
	} else {
		var m map[string]any
		if err := json.Unmarshal(body, &m); err != nil {
			return t, nil, apierrors.NewBadRequest("error decoding patch: " + err.Error())
		}
	}
	return t, body, nil
}

func (c *call) patch() error {
	t, body, err := c.readPatch()
	if err != nil {
		return err
	}
	opts, err := c.writeOptions("PatchOptions")
	if err != nil {
		return err
	}
	if err := c.checkPatchOptions(t, &opts); err != nil {
		return err
	}
	if t == types.ApplyYAMLPatchType {
		return c.apply(body, opts)
	}
	stored, err := c.change(len(body), change{
		find: func(a *api.API) (kinds.Object, error) { return a.Get(c.ref()) },
		work: func(live kinds.Object) (kinds.Object, error) {
			o, err := c.patched(live, t, body)
			if err == nil {
				c.s.owners.updated(live, o, c.sub, opts.manager)
			}
			return o, err
		},
		write: func(now time.Time, a *api.API, live, o kinds.Object) (kinds.Object, error) {
			return c.put(now, a, live, o, opts)
		},
	})
	if err != nil {
		return err
	}
	c.adviseOn(stored)
	return c.answerObject(http.StatusOK, stored)
}

func (c *call) checkPatchOptions(t types.PatchType, opts *writeOptions) error {
	var errs field.ErrorList
	if t == types.ApplyYAMLPatchType {
		if opts.manager == "" {
			errs = append(errs, field.Required(field.NewPath("fieldManager"), "is required for apply patch"))
		}
	} else {
		if c.query.Has("force") {
			errs = append(errs, field.Forbidden(field.NewPath("force"), "may not be specified for non-apply patch"))
		}
		if opts.manager == "" {
			opts.manager = managerOfAgent(c.r.UserAgent())
		}
	}
	if len(errs) > 0 {
		return invalidOptions("PatchOptions", errs...)
	}
	return nil
}

// patched applies a patch to a live object, as the version of the path shows it.
func (c *call) patched(live kinds.Object, t types.PatchType, body []byte) (kinds.Object, error) {
	shown, err := c.res.typed(live)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	before, err := json.Marshal(shown)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	after, err := api.Patched(c.ref(), t, before, body, newObject(c.res.gvk))
	if err != nil {
		return nil, err
	}
	if int64(len(after)) > c.s.limits.BodyBytesMax {
		return nil, bodyTooLarge(c.s.limits.BodyBytesMax)
	}
	decoded, err := c.decodeJSON(after, c.res.gvk)
	if err != nil {
		return nil, asUnprocessable(err, c.res, c.name)
	}
	o, err := c.toStored(decoded)
	if err != nil {
		return nil, err
	}
	if o.GetName() != c.name || c.res.namespaced && o.GetNamespace() != c.namespace {
		return nil, apierrors.NewBadRequest("the name and the namespace of an object may not be changed by a patch")
	}
	return o, nil
}

// asUnprocessable turns "the patched object does not decode" into the 422 that
// Kubernetes answers.
func asUnprocessable(err error, r *resource, name string) error {
	if !apierrors.IsBadRequest(err) || strings.Contains(err.Error(), "strict decoding error") {
		return err
	}
	return apierrors.NewInvalid(r.gvk.GroupKind(), name, field.ErrorList{field.Invalid(field.NewPath("patch"), "", err.Error())})
}

// apply carries out a server-side apply
// (kubernetes.io/docs/reference/using-api/server-side-apply).
func (c *call) apply(body []byte, opts writeOptions) error {
	applied, err := c.appliedObject(body)
	if err != nil {
		return err
	}
	code := http.StatusOK
	stored, err := c.change(len(body), change{
		find: c.findOrNew,
		work: func(live kinds.Object) (kinds.Object, error) { return c.merged(live, applied, opts) },
		write: func(now time.Time, a *api.API, live, o kinds.Object) (kinds.Object, error) {
			c.s.owners.stamp(o, live, now)
			r := api.Update(o)
			if isNew(live) {
				code = http.StatusCreated
				o.SetResourceVersion("")
				r = api.Create(o)
			}
			r.Subresource, r.DryRun = c.sub, opts.dryRun
			return c.write(now, a, r)
		},
	})
	if err != nil {
		return err
	}
	c.adviseOn(stored)
	return c.answerObject(code, stored)
}

// isNew says of what findOrNew gave that it is not there yet.
func isNew(live kinds.Object) bool { return live.GetResourceVersion() == "" }

// findOrNew is the object, or an empty one to be created.
func (c *call) findOrNew(a *api.API) (kinds.Object, error) {
	live, missing := a.Get(c.ref())
	if missing == nil {
		return live, nil
	}
	if c.sub != "" {
		return nil, missing
	}
	if err := c.authorizeAlso("create"); err != nil {
		return nil, err
	}
	live = c.res.kind.Info().New()
	live.SetName(c.name)
	live.SetNamespace(c.ref().Namespace)
	return live, nil
}

// appliedObject is the body of an apply at the storage version, with the fields
// that it names and no others.
func (c *call) appliedObject(body []byte) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(body); err != nil {
		return nil, apierrors.NewBadRequest("error decoding patch: " + err.Error())
	}
	if u.GroupVersionKind().Kind != c.res.gvk.Kind {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("Incorrect kind specified in apply patch. Specified: %s, expected: %s", u.GetKind(), c.res.gvk.Kind))
	}
	if gv := u.GroupVersionKind().GroupVersion(); gv != c.res.gvk.GroupVersion() {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("Incorrect version specified in apply patch. Specified patch version: %s, expected: %s", gv, c.res.gvk.GroupVersion()))
	}
	typed, err := c.decodeJSON(body, c.res.gvk) // for its field validation
	if err != nil {
		return nil, err
	}
	if c.res.old {
		if u, err = c.convertApplied(typed); err != nil {
			return nil, err
		}
	}
	if u.GetManagedFields() != nil {
		return nil, apierrors.NewBadRequest("metadata.managedFields must be nil")
	}
	return u, c.checkApplied(u)
}

func (c *call) checkApplied(u *unstructured.Unstructured) error {
	if u.GetName() == "" {
		u.SetName(c.name)
	}
	if u.GetName() != c.name {
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", u.GetName(), c.name))
	}
	return c.place(u)
}

// convertApplied brings an applied object of an old version to the storage version,
// without the fields that a Go type writes though nobody set them.
func (c *call) convertApplied(typed runtime.Object) (*unstructured.Unstructured, error) {
	o, err := c.toStored(typed)
	if err != nil {
		return nil, err
	}
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(kinds.WithType(o))
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	u := &unstructured.Unstructured{Object: m}
	unstructured.RemoveNestedField(m, "status")
	unstructured.RemoveNestedField(m, "metadata", "creationTimestamp")
	unstructured.RemoveNestedField(m, "spec", "template", "metadata", "creationTimestamp")
	return u, nil
}

// merged applies to a live object, or to a new one.
func (c *call) merged(live kinds.Object, applied *unstructured.Unstructured, opts writeOptions) (kinds.Object, error) {
	if rv := applied.GetResourceVersion(); isNew(live) && rv != "" {
		return nil, apierrors.NewNotFound(c.res.gvr.GroupResource(), c.name)
	} else if rv != "" && rv != live.GetResourceVersion() {
		return nil, apierrors.NewConflict(c.res.gvr.GroupResource(), c.name,
			fmt.Errorf("the object has been modified; please apply your changes to the latest version and try again"))
	}
	if uid := applied.GetUID(); uid != "" && uid != live.GetUID() {
		return nil, apierrors.NewConflict(c.res.gvr.GroupResource(), c.name,
			fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", uid, live.GetUID()))
	}
	merged, err := c.s.owners.of(c.res.kind, c.sub).Apply(kinds.WithType(live), applied.DeepCopy(), opts.manager, opts.force)
	if err != nil {
		return nil, asStatus(err)
	}
	o := c.res.kind.Info().New()
	switch m := merged.(type) {
	case *unstructured.Unstructured:
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m.Object, o); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	case kinds.Object: // nothing changes: a copy of the live object
		o = m
	}
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	kinds.Default(o)
	return o, nil
}

// asStatus makes an error of the merge a 400: what was applied is not of its type.
func asStatus(err error) error {
	if _, ok := err.(apierrors.APIStatus); ok {
		return err
	}
	return apierrors.NewBadRequest(err.Error())
}
