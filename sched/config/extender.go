package config

import (
	"fmt"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"seatrial.dev/seatrial/sched"
)

// extendersMax is how many extenders a configuration may have.
const extendersMax = 100

// extenders reads the list of extenders. Those that may be ignored come last, as
// kube-scheduler orders them.
func (r *reader) extenders(list []fileExtender) {
	if len(list) > extendersMax {
		r.fail("extenders", "has %d extenders, at most %d are allowed", len(list), extendersMax)
		return
	}
	binder, managed := -1, map[string]bool{}
	var last []sched.Extender
	for i := range list {
		f, at := &list[i], fmt.Sprintf("extenders[%d]", i)
		r.extenderURL(at, f)
		if f.PrioritizeVerb != "" && f.Weight <= 0 {
			r.fail(at+".weight", "must be greater than 0 for an extender with a prioritizeVerb")
		}
		if f.Weight > extenderWeightMax {
			r.fail(at+".weight", "must be at most %d", extenderWeightMax)
		}
		if f.BindVerb != "" {
			if binder >= 0 {
				r.fail(at+".bindVerb", "is one too many: extenders[%d] binds already, and only one may", binder)
			}
			binder = i
		}
		if f.HTTPTimeout.Duration < 0 {
			r.fail(at+".httpTimeout", "must not be negative")
		}
		out := f.extender()
		for j, m := range f.ManagedResources {
			field := fmt.Sprintf("%s.managedResources[%d].name", at, j)
			if why := notExtended(m.Name); why != "" {
				r.fail(field, "%s", why)
			} else if managed[m.Name] {
				r.fail(field, "is managed by an extender already; name it once")
			}
			managed[m.Name] = true
		}
		if f.Ignorable {
			last = append(last, out)
		} else {
			r.cfg.Extenders = append(r.cfg.Extenders, out)
		}
	}
	r.cfg.Extenders = append(r.cfg.Extenders, last...)
}

// extenderWeightMax keeps the sum of scores within 64 bits.
const extenderWeightMax = 1 << 32

func (r *reader) extenderURL(at string, f *fileExtender) {
	u, err := url.Parse(f.URLPrefix)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		r.fail(at+".urlPrefix", "must be a URL such as http://127.0.0.1:8888/scheduler")
	}
	t := f.TLSConfig
	if t == nil {
		return
	}
	if t.Insecure && (t.CAFile != "" || len(t.CAData) > 0) {
		r.fail(at+".tlsConfig.insecure", "cannot be together with caFile or caData: either the server's certificate is checked or it is not")
	}
	if (t.CertFile != "" || len(t.CertData) > 0) != (t.KeyFile != "" || len(t.KeyData) > 0) {
		r.fail(at+".tlsConfig", "a client certificate (certFile or certData) and its key (keyFile or keyData) go together")
	}
}

func (f *fileExtender) extender() sched.Extender {
	x := sched.Extender{URLPrefix: f.URLPrefix, Filter: f.FilterVerb, Preempt: f.PreemptVerb, Prioritize: f.PrioritizeVerb, Bind: f.BindVerb,
		Weight: f.Weight, Timeout: f.HTTPTimeout.Duration, Ignorable: f.Ignorable, NodeCacheable: f.NodeCacheCapable, EnableHTTPS: f.EnableHTTPS}
	if x.Timeout == 0 {
		x.Timeout = sched.ExtenderTimeout
	}
	for _, m := range f.ManagedResources {
		x.Managed = append(x.Managed, m.Name)
		if m.IgnoredByScheduler {
			x.IgnoredByFit = append(x.IgnoredByFit, m.Name)
		}
	}
	if t := f.TLSConfig; t != nil {
		x.TLSInsecure, x.TLSServerName = t.Insecure, t.ServerName
		x.CAFile, x.CertFile, x.KeyFile = t.CAFile, t.CertFile, t.KeyFile
		x.CAData, x.CertData, x.KeyData = t.CAData, t.CertData, t.KeyData
	}
	return x
}

// notExtended says why a name is not that of an extended resource, "" if it is.
func notExtended(name string) string {
	if list := validation.IsQualifiedName(name); len(list) > 0 {
		return "is not the name of a resource: " + strings.Join(list, "; ")
	}
	if !strings.Contains(name, "/") || strings.Contains(name, "kubernetes.io/") || strings.HasPrefix(name, corev1.DefaultResourceRequestsPrefix) {
		return "is not an extended resource: want a name with a domain of its own, such as example.com/gpu"
	}
	return ""
}

// ignoredResources are what extenders take off NodeResourcesFit's hands.
func ignoredResources(list []sched.Extender) (names []string) {
	for i := range list {
		names = append(names, list[i].IgnoredByFit...)
	}
	return names
}
