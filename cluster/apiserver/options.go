package apiserver

import (
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"seatrial.dev/seatrial/cluster/kinds"
)

// listOptions are the parameters of a list or watch.
type listOptions struct {
	labels        labels.Selector // nil: all
	fields        *fieldSelector  // nil: all
	limit         int64
	cont          *continueToken
	rv            string // "", "0" or a number
	version       uint64 // of rv
	match         metav1.ResourceVersionMatch
	timeout       time.Duration // 0: not asked for
	bookmarks     bool
	initialEvents *bool
}

// matches says whether an object is among those asked for.
func (o *listOptions) matches(obj kinds.Object) bool {
	return (o.labels == nil || o.labels.Matches(labels.Set(obj.GetLabels()))) && (o.fields == nil || o.fields.matches(obj))
}

// all says that nothing is selected.
func (o *listOptions) all() bool { return o.labels == nil && o.fields == nil }

// listOptions reads and checks the parameters
// (kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).
func (c *call) listOptions() (listOptions, error) {
	var o listOptions
	q := c.query
	if len(q.Get("labelSelector"))+len(q.Get("fieldSelector")) > c.s.limits.SelectorMax {
		return o, apierrors.NewBadRequest(fmt.Sprintf("the selectors are longer than %d bytes", c.s.limits.SelectorMax))
	}
	if text := q.Get("labelSelector"); text != "" {
		s, err := labels.Parse(text)
		if err != nil {
			return o, apierrors.NewBadRequest(err.Error())
		}
		if !s.Empty() {
			o.labels = s
		}
	}
	if err := c.fieldOptions(&o); err != nil {
		return o, err
	}
	if err := o.numbers(c); err != nil {
		return o, err
	}
	o.rv, o.match = q.Get("resourceVersion"), metav1.ResourceVersionMatch(q.Get("resourceVersionMatch"))
	if o.rv != "" {
		n, err := strconv.ParseUint(o.rv, 10, 64)
		if err != nil {
			return o, invalidOptions("ListOptions", field.Invalid(field.NewPath("resourceVersion"), o.rv, err.Error()))
		}
		o.version = n
	}
	o.bookmarks = isTrue(q.Get("allowWatchBookmarks"))
	if s := q.Get("sendInitialEvents"); s != "" {
		b := isTrue(s)
		o.initialEvents = &b
	}
	return o, o.check(c)
}

func (c *call) fieldOptions(o *listOptions) error {
	var sel fields.Selector
	if text := c.query.Get("fieldSelector"); text != "" {
		s, err := fields.ParseSelector(text)
		if err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
		sel = s
	}
	if c.name != "" {
		byName := fields.OneTermEqualSelector("metadata.name", c.name)
		if sel == nil {
			sel = byName
		} else {
			sel = fields.AndSelectors(sel, byName)
		}
	}
	if sel == nil || sel.Empty() {
		return nil
	}
	s, err := newFieldSelector(c.res, sel)
	o.fields = s
	return err
}

func (o *listOptions) numbers(c *call) error {
	if text := c.query.Get("limit"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return invalidOptions("ListOptions", field.Invalid(field.NewPath("limit"), text, "must be a number of 0 or more"))
		}
		o.limit = min(n, c.s.limits.PageMax)
	}
	if text := c.query.Get("timeoutSeconds"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return apierrors.NewBadRequest(fmt.Sprintf("timeoutSeconds %q: must be a number of 0 or more", text))
		}
		o.timeout = time.Duration(min(n, int64(timeoutMax/time.Second))) * time.Second
	}
	if text := c.query.Get("continue"); text != "" && c.verb != "watch" {
		t, err := parseContinue(text)
		o.cont = t
		return err
	}
	return nil
}

// timeoutMax is the longest a watch may ask to last.
const timeoutMax = 24 * time.Hour

func isTrue(s string) bool { return s == "true" || s == "1" || s == "True" || s == "TRUE" }

// check refuses combinations that mean nothing.
func (o *listOptions) check(c *call) error {
	var errs field.ErrorList
	match, initial := field.NewPath("resourceVersionMatch"), field.NewPath("sendInitialEvents")
	watching := c.verb == "watch"
	if watching && o.match != "" && o.initialEvents == nil {
		errs = append(errs, field.Forbidden(match, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
	}
	if o.initialEvents != nil {
		switch {
		case !watching:
			errs = append(errs, field.Forbidden(initial, "sendInitialEvents is forbidden for list"))
		case o.match == "":
			errs = append(errs, field.Forbidden(match, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
		case o.match != metav1.ResourceVersionMatchNotOlderThan:
			errs = append(errs, field.NotSupported(match, o.match, []string{string(metav1.ResourceVersionMatchNotOlderThan)}))
		}
	}
	if !watching && o.match != "" {
		switch {
		case o.cont != nil:
			errs = append(errs, field.Forbidden(match, "resourceVersionMatch is forbidden when continue is provided"))
		case o.rv == "":
			errs = append(errs, field.Forbidden(match, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
		case o.match != metav1.ResourceVersionMatchExact && o.match != metav1.ResourceVersionMatchNotOlderThan:
			errs = append(errs, field.NotSupported(match, o.match, []string{string(metav1.ResourceVersionMatchExact), string(metav1.ResourceVersionMatchNotOlderThan), ""}))
		case o.match == metav1.ResourceVersionMatchExact && o.version == 0:
			errs = append(errs, field.Forbidden(match, `resourceVersionMatch "exact" is forbidden for resourceVersion "0"`))
		}
	}
	if len(errs) > 0 {
		return invalidOptions("ListOptions", errs...)
	}
	if o.cont != nil && o.rv != "" && o.rv != "0" {
		return apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
	}
	return nil
}

func invalidOptions(kind string, errs ...*field.Error) error {
	return apierrors.NewInvalid(schema.GroupKind{Group: "meta.k8s.io", Kind: kind}, "", errs)
}

// writeOptions are the parameters that all writes share.
type writeOptions struct {
	dryRun  bool
	manager string // who owns the fields that are set
	force   bool
}

// managerBytesMax is Kubernetes' bound on the name of a field manager.
const managerBytesMax = 128

func (c *call) writeOptions(kind string) (writeOptions, error) {
	o := writeOptions{manager: c.query.Get("fieldManager"), force: isTrue(c.query.Get("force"))}
	var errs field.ErrorList
	for _, v := range c.query["dryRun"] {
		switch v {
		case metav1.DryRunAll:
			o.dryRun = true
		case "":
		default:
			errs = append(errs, field.NotSupported(field.NewPath("dryRun"), v, []string{metav1.DryRunAll}))
		}
	}
	if len(o.manager) > managerBytesMax {
		errs = append(errs, field.TooLong(field.NewPath("fieldManager"), o.manager, managerBytesMax))
	}
	for _, r := range o.manager {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			errs = append(errs, field.Invalid(field.NewPath("fieldManager"), o.manager, "should only contain printable characters"))
			break
		}
	}
	if len(errs) > 0 {
		return o, invalidOptions(kind, errs...)
	}
	if o.manager == "" && kind != "PatchOptions" {
		o.manager = managerOfAgent(c.r.UserAgent())
	}
	return o, nil
}

// managerOfAgent names the manager of a client that gives no name: its user agent
// up to the first slash.
func managerOfAgent(agent string) string {
	for i, r := range agent {
		if r == '/' || i >= managerBytesMax {
			return agent[:i]
		}
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return "unknown"
		}
	}
	if agent == "" {
		return "unknown"
	}
	return agent
}
