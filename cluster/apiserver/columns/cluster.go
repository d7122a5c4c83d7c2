package columns

import (
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

func clusterPrinters() map[kinds.Kind]printer {
	bindings := columns("Name", "Role", "Age", "wide:Users", "wide:Groups", "wide:ServiceAccounts")
	return map[kinds.Kind]printer{
		kinds.Node: {columns: columns("Name", "Status", "Roles", "Age", "Version", "wide:Internal-IP", "wide:External-IP", "wide:OS-Image",
			"wide:Kernel-Version", "wide:Container-Runtime"), cells: nodeCells},
		kinds.Namespace: {columns: columns("Name", "Status", "Age"), cells: func(o kinds.Object, now time.Time) []any {
			return []any{o.GetName(), string(o.(*corev1.Namespace).Status.Phase), age(o, now)}
		}},
		kinds.Event: {columns: columns("Last Seen", "Type", "Reason", "Object", "wide:Subobject", "wide:Source", "Message", "wide:First Seen",
			"wide:#Count", "wide:Name"), cells: eventCells},
		kinds.ConfigMap: {columns: columns("Name", "#Data", "Age"), cells: func(o kinds.Object, now time.Time) []any {
			m := o.(*corev1.ConfigMap)
			return []any{m.Name, int64(len(m.Data) + len(m.BinaryData)), age(m, now)}
		}},
		kinds.Secret: {columns: columns("Name", "Type", "#Data", "Age"), cells: func(o kinds.Object, now time.Time) []any {
			s := o.(*corev1.Secret)
			return []any{s.Name, string(s.Type), int64(len(s.Data)), age(s, now)}
		}},
		kinds.ServiceAccount: {columns: columns("Name", "#Secrets", "Age"), cells: func(o kinds.Object, now time.Time) []any {
			return []any{o.GetName(), int64(len(o.(*corev1.ServiceAccount).Secrets)), age(o, now)}
		}},
		kinds.ResourceQuota: {columns: columns("Name", "Request", "Limit", "Age"), cells: quotaCells},
		kinds.RoleBinding: {columns: bindings, cells: func(o kinds.Object, now time.Time) []any {
			b := o.(*rbacv1.RoleBinding)
			return bindingCells(b, b.RoleRef, b.Subjects, now)
		}},
		kinds.ClusterRoleBinding: {columns: bindings, cells: func(o kinds.Object, now time.Time) []any {
			b := o.(*rbacv1.ClusterRoleBinding)
			return bindingCells(b, b.RoleRef, b.Subjects, now)
		}},
		kinds.Lease: {columns: columns("Name", "Holder", "Age"), cells: func(o kinds.Object, now time.Time) []any {
			holder := ""
			if h := o.(*coordinationv1.Lease).Spec.HolderIdentity; h != nil {
				holder = *h
			}
			return []any{o.GetName(), holder, age(o, now)}
		}},
		kinds.PriorityClass: {columns: columns("Name", "#Value", "Global-Default", "Age", "PreemptionPolicy"), cells: func(o kinds.Object, now time.Time) []any {
			p := o.(*schedulingv1.PriorityClass)
			policy := ""
			if p.PreemptionPolicy != nil {
				policy = string(*p.PreemptionPolicy)
			}
			return []any{p.Name, int64(p.Value), p.GlobalDefault, age(p, now), policy}
		}},
		kinds.PodGroup: {columns: columns("Name", "Policy", "Workload", "Status", "Age"), cells: podGroupCells},
	}
}

func podGroupCells(o kinds.Object, now time.Time) []any {
	g := o.(*schedulingv1beta1.PodGroup)
	policy, workload, status := "Basic", "<none>", "Pending"
	if g.Spec.SchedulingPolicy.Gang != nil {
		policy = "Gang"
	}
	if ref := g.Spec.WorkloadRef; ref != nil {
		workload = ref.WorkloadName
	}
	for _, c := range g.Status.Conditions {
		switch {
		case c.Type == schedulingv1beta1.DisruptionTarget:
			return []any{g.Name, policy, workload, c.Reason, age(g, now)}
		case c.Type != schedulingv1beta1.PodGroupInitiallyScheduled:
		case c.Status == metav1.ConditionTrue:
			status = "Scheduled"
		default:
			status = "Unschedulable"
		}
	}
	return []any{g.Name, policy, workload, status, age(g, now)}
}

func nodeCells(o kinds.Object, now time.Time) []any {
	n := o.(*corev1.Node)
	status := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			status = "NotReady"
			if c.Status == corev1.ConditionTrue {
				status = "Ready"
			}
		}
	}
	if n.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	address := func(t corev1.NodeAddressType) string {
		for _, a := range n.Status.Addresses {
			if a.Type == t {
				return a.Address
			}
		}
		return "<none>"
	}
	info := &n.Status.NodeInfo
	unknown := func(s string) string {
		if s == "" {
			return "<unknown>"
		}
		return s
	}
	return []any{n.Name, status, orNone(strings.Join(nodeRoles(n), ",")), age(n, now), info.KubeletVersion, address(corev1.NodeInternalIP),
		address(corev1.NodeExternalIP), unknown(info.OSImage), unknown(info.KernelVersion), unknown(info.ContainerRuntimeVersion)}
}

const rolePrefix = "node-role.kubernetes.io/"

// nodeRoles are named by labels.
func nodeRoles(n *corev1.Node) []string {
	var roles []string
	for k, v := range n.Labels {
		if role, ok := strings.CutPrefix(k, rolePrefix); ok && role != "" {
			roles = append(roles, role)
		} else if k == "kubernetes.io/role" && v != "" {
			roles = append(roles, v)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

func eventCells(o kinds.Object, now time.Time) []any {
	e := o.(*corev1.Event)
	first := since(e.FirstTimestamp, now)
	if e.FirstTimestamp.IsZero() {
		first = since(metav1.Time{Time: e.EventTime.Time}, now)
	}
	last, n := first, int64(e.Count)
	switch {
	case e.Series != nil:
		last = since(metav1.Time{Time: e.Series.LastObservedTime.Time}, now)
		n = int64(e.Series.Count)
	case !e.LastTimestamp.IsZero():
		last = since(e.LastTimestamp, now)
	}
	if n == 0 {
		n = 1
	}
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	if host := e.Source.Host; host != "" {
		source += ", " + host
	} else if e.ReportingInstance != "" {
		source += ", " + e.ReportingInstance
	}
	object := strings.ToLower(e.InvolvedObject.Kind)
	if e.InvolvedObject.Name != "" {
		object += "/" + e.InvolvedObject.Name
	}
	return []any{last, e.Type, e.Reason, object, e.InvolvedObject.FieldPath, source, strings.TrimSpace(e.Message), first, n, e.Name}
}

func quotaCells(o kinds.Object, now time.Time) []any {
	q := o.(*corev1.ResourceQuota)
	var requests, limits []string
	names := make([]string, 0, len(q.Status.Hard))
	for name := range q.Status.Hard {
		names = append(names, string(name))
	}
	slices.Sort(names)
	for _, name := range names {
		used, hard := q.Status.Used[corev1.ResourceName(name)], q.Status.Hard[corev1.ResourceName(name)]
		text := fmt.Sprintf("%s: %s/%s", name, used.String(), hard.String())
		if strings.HasPrefix(name, "limits") {
			limits = append(limits, text)
		} else {
			requests = append(requests, text)
		}
	}
	return []any{q.Name, strings.Join(requests, ", "), strings.Join(limits, ", "), age(q, now)}
}

func bindingCells(o kinds.Object, role rbacv1.RoleRef, subjects []rbacv1.Subject, now time.Time) []any {
	var users, groups, accounts []string
	for _, s := range subjects {
		switch s.Kind {
		case rbacv1.UserKind:
			users = append(users, s.Name)
		case rbacv1.GroupKind:
			groups = append(groups, s.Name)
		case rbacv1.ServiceAccountKind:
			accounts = append(accounts, s.Namespace+"/"+s.Name)
		}
	}
	return []any{o.GetName(), role.Kind + "/" + role.Name, age(o, now), strings.Join(users, ", "), strings.Join(groups, ", "), strings.Join(accounts, ", ")}
}
