package kinds

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

func (c *check) appContainer(at *loc, s *corev1.PodSpec, i int) {
	box := &s.Containers[i]
	c.container(at, s, box)
	for j := range i {
		if s.Containers[j].Name == box.Name && box.Name != "" {
			c.duplicate(at, "name", box.Name)
			break
		}
	}
	if box.RestartPolicy != nil && len(box.RestartPolicyRules) == 0 {
		oneOfPtr(c, at, "restartPolicy", box.RestartPolicy, corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyOnFailure, corev1.ContainerRestartPolicyNever)
	}
	c.probe(at, "livenessProbe", box.LivenessProbe)
	c.probe(at, "readinessProbe", box.ReadinessProbe)
	c.probe(at, "startupProbe", box.StartupProbe)
	c.lifecycle(at, box.Lifecycle)
}

// initContainer: one that runs to its end has nothing to be probed or stopped
// gently; one that restarts always is a sidecar and may have all of it.
// Source: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
func (c *check) initContainer(at *loc, s *corev1.PodSpec, i int) {
	box := &s.InitContainers[i]
	c.container(at, s, box)
	taken := false
	for j := range s.Containers {
		taken = taken || s.Containers[j].Name == box.Name
	}
	for j := range i {
		taken = taken || s.InitContainers[j].Name == box.Name
	}
	if taken && box.Name != "" {
		c.duplicate(at, "name", box.Name)
	}
	oneOfPtr(c, at, "restartPolicy", box.RestartPolicy, corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyOnFailure, corev1.ContainerRestartPolicyNever)
	if isSidecar(box) {
		c.probe(at, "livenessProbe", box.LivenessProbe)
		c.probe(at, "readinessProbe", box.ReadinessProbe)
		c.probe(at, "startupProbe", box.StartupProbe)
		c.lifecycle(at, box.Lifecycle)
		return
	}
	const why = "may not be set for init containers without restartPolicy=Always"
	if box.Lifecycle != nil {
		c.forbidden(at, "lifecycle", why)
	}
	if box.LivenessProbe != nil {
		c.forbidden(at, "livenessProbe", why)
	}
	if box.ReadinessProbe != nil {
		c.forbidden(at, "readinessProbe", why)
	}
	if box.StartupProbe != nil {
		c.forbidden(at, "startupProbe", why)
	}
}

// ephemeralContainer: a guest for debugging holds no ports and no resources.
// Source: https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/
func (c *check) ephemeralContainer(at *loc, s *corev1.PodSpec, i int) {
	e := &s.EphemeralContainers[i]
	box := (*corev1.Container)(&e.EphemeralContainerCommon)
	c.container(at, s, box)
	taken, target := false, e.TargetContainerName == ""
	for j := range s.Containers {
		taken = taken || s.Containers[j].Name == box.Name
		target = target || s.Containers[j].Name == e.TargetContainerName
	}
	for j := range s.InitContainers {
		taken = taken || s.InitContainers[j].Name == box.Name
		target = target || s.InitContainers[j].Name == e.TargetContainerName
	}
	for j := range i {
		taken = taken || s.EphemeralContainers[j].Name == box.Name
	}
	if taken {
		c.duplicate(at, "name", box.Name)
	}
	if !target {
		c.notFound(at, "targetContainerName", e.TargetContainerName)
	}
	const why = "cannot be set for an Ephemeral Container"
	if len(box.Ports) > 0 {
		c.forbidden(at, "ports", why)
	}
	if box.LivenessProbe != nil {
		c.forbidden(at, "livenessProbe", why)
	}
	if box.ReadinessProbe != nil {
		c.forbidden(at, "readinessProbe", why)
	}
	if box.StartupProbe != nil {
		c.forbidden(at, "startupProbe", why)
	}
	if box.Lifecycle != nil {
		c.forbidden(at, "lifecycle", why)
	}
	if len(box.Resources.Limits) > 0 || len(box.Resources.Requests) > 0 {
		c.forbidden(at, "resources", why)
	}
}

// container checks what containers of every sort have in common.
func (c *check) container(at *loc, s *corev1.PodSpec, box *corev1.Container) {
	if box.Name == "" {
		c.required(at, "name", "")
	} else {
		c.label(at, "name", box.Name)
	}
	if box.Image == "" {
		c.required(at, "image", "")
	} else if spaced(box.Image) {
		c.invalid(at, "image", box.Image, "must not have leading or trailing whitespace")
	}
	oneOf(c, at, "terminationMessagePolicy", box.TerminationMessagePolicy, corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)
	oneOf(c, at, "imagePullPolicy", box.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
	c.containerPorts(at, box.Ports)
	for i := range box.Env {
		here := at.index("env", i)
		c.envVar(&here, &box.Env[i])
	}
	for i := range box.EnvFrom {
		here := at.index("envFrom", i)
		c.envFrom(&here, &box.EnvFrom[i])
	}
	for i := range box.VolumeMounts {
		here := at.index("volumeMounts", i)
		c.volumeMount(&here, s, box, i)
	}
	for i := range box.VolumeDevices {
		here := at.index("volumeDevices", i)
		c.volumeDevice(&here, s, box, i)
	}
	here := at.dot("resources")
	c.resources(&here, &box.Resources, containerResources)
	c.security(at, box.SecurityContext)
}

func spaced(s string) bool { return s[0] <= ' ' || s[len(s)-1] <= ' ' }

func (c *check) security(at *loc, sc *corev1.SecurityContext) {
	if sc == nil {
		return
	}
	here := at.dot("securityContext")
	c.id(&here, "runAsUser", sc.RunAsUser)
	c.id(&here, "runAsGroup", sc.RunAsGroup)
	oneOfPtr(c, &here, "procMount", sc.ProcMount, corev1.DefaultProcMount, corev1.UnmaskedProcMount)
	if sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation {
		return
	}
	if sc.Privileged != nil && *sc.Privileged {
		c.invalid(&here, "", sc, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
	}
	if sc.Capabilities == nil {
		return
	}
	for _, capability := range sc.Capabilities.Add {
		if capability == "CAP_SYS_ADMIN" {
			c.invalid(&here, "", sc, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN")
		}
	}
}

func (c *check) containerPorts(at *loc, ports []corev1.ContainerPort) {
	for i := range ports {
		p := &ports[i]
		here := at.index("ports", i)
		if p.Name != "" {
			if msgs := validation.IsValidPortName(p.Name); len(msgs) > 0 {
				c.invalids(&here, "name", p.Name, msgs)
			}
			for j := range i {
				if ports[j].Name == p.Name {
					c.duplicate(&here, "name", p.Name)
					break
				}
			}
		}
		if p.ContainerPort == 0 {
			c.required(&here, "containerPort", "")
		} else {
			c.port(&here, "containerPort", p.ContainerPort)
		}
		if p.HostPort != 0 {
			c.port(&here, "hostPort", p.HostPort)
		}
		c.protocol(&here, p.Protocol)
	}
}

func (c *check) port(at *loc, name string, p int32) {
	if !isPort(p) {
		c.invalids(at, name, p, validation.IsValidPortNum(int(p)))
	}
}

func (c *check) protocol(at *loc, p corev1.Protocol) {
	oneOf(c, at, "protocol", p, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
}

func (c *check) portOrName(at *loc, name string, p intstr.IntOrString) {
	if p.Type == intstr.Int {
		c.port(at, name, p.IntVal)
	} else if msgs := validation.IsValidPortName(p.StrVal); len(msgs) > 0 {
		c.invalids(at, name, p.StrVal, msgs)
	}
}

// probe checks a probe of a container; the name is the field's.
// Source: https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
func (c *check) probe(at *loc, name string, p *corev1.Probe) {
	if p == nil {
		return
	}
	here := at.dot(name)
	c.handler(&here, p.Exec, p.HTTPGet, p.TCPSocket, p.GRPC, nil)
	c.notNegative(&here, "initialDelaySeconds", int64(p.InitialDelaySeconds))
	c.notNegative(&here, "timeoutSeconds", int64(p.TimeoutSeconds))
	c.notNegative(&here, "periodSeconds", int64(p.PeriodSeconds))
	c.notNegative(&here, "successThreshold", int64(p.SuccessThreshold))
	c.notNegative(&here, "failureThreshold", int64(p.FailureThreshold))
	grace := p.TerminationGracePeriodSeconds
	if name == "readinessProbe" {
		if grace != nil {
			c.invalid(&here, "terminationGracePeriodSeconds", *grace, "must not be set for readinessProbes")
		}
		return
	}
	if grace != nil && *grace <= 0 {
		c.invalid(&here, "terminationGracePeriodSeconds", *grace, positive)
	}
	if p.SuccessThreshold != 1 {
		c.invalid(&here, "successThreshold", p.SuccessThreshold, "must be 1")
	}
}

func (c *check) lifecycle(at *loc, l *corev1.Lifecycle) {
	if l == nil {
		return
	}
	here := at.dot("lifecycle")
	if h := l.PostStart; h != nil {
		hook := here.dot("postStart")
		c.handler(&hook, h.Exec, h.HTTPGet, h.TCPSocket, nil, h.Sleep)
	}
	if h := l.PreStop; h != nil {
		hook := here.dot("preStop")
		c.handler(&hook, h.Exec, h.HTTPGet, h.TCPSocket, nil, h.Sleep)
	}
}

// handler checks that exactly one of the ways of asking a container is given.
func (c *check) handler(at *loc, exec *corev1.ExecAction, get *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction, grpc *corev1.GRPCAction, sleep *corev1.SleepAction) {
	given := 0
	another := func(name string) bool {
		if given++; given > 1 {
			c.forbidden(at, name, "may not specify more than 1 handler type")
		}
		return given == 1
	}
	if exec != nil && another("exec") && len(exec.Command) == 0 {
		here := at.dot("exec")
		c.required(&here, "command", "")
	}
	if get != nil && another("httpGet") {
		c.httpGet(at, get)
	}
	if tcp != nil && another("tcpSocket") {
		here := at.dot("tcpSocket")
		c.portOrName(&here, "port", tcp.Port)
	}
	if grpc != nil && another("grpc") {
		here := at.dot("grpc")
		c.port(&here, "port", grpc.Port)
	}
	if sleep != nil && another("sleep") && sleep.Seconds < 0 {
		here := at.dot("sleep")
		c.invalid(&here, "", sleep.Seconds, "must be non-negative and less than terminationGracePeriodSeconds")
	}
	if given == 0 {
		c.required(at, "", "must specify a handler type")
	}
}

func (c *check) httpGet(at *loc, get *corev1.HTTPGetAction) {
	here := at.dot("httpGet")
	if get.Path == "" {
		c.required(&here, "path", "")
	}
	c.portOrName(&here, "port", get.Port)
	oneOf(c, &here, "scheme", get.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)
	for i := range get.HTTPHeaders {
		if msgs := validation.IsHTTPHeaderName(get.HTTPHeaders[i].Name); len(msgs) > 0 {
			c.invalids(&here, "httpHeaders", get.HTTPHeaders[i].Name, msgs)
		}
	}
}

func (c *check) envVar(at *loc, e *corev1.EnvVar) {
	if e.Name == "" {
		c.required(at, "name", "")
	} else if !isEnvName(e.Name) {
		c.invalids(at, "name", e.Name, validation.IsRelaxedEnvVarName(e.Name))
	}
	from := e.ValueFrom
	if from == nil {
		return
	}
	here := at.dot("valueFrom")
	given := 0
	if from.FieldRef != nil {
		given++
		c.fieldRef(&here, from.FieldRef, envFields, envMaps)
	}
	if from.ResourceFieldRef != nil {
		given++
		c.resourceFieldRef(&here, from.ResourceFieldRef, false)
	}
	if r := from.ConfigMapKeyRef; r != nil {
		given++
		c.keyRef(&here, "configMapKeyRef", r.Name, r.Key)
	}
	if r := from.SecretKeyRef; r != nil {
		given++
		c.keyRef(&here, "secretKeyRef", r.Name, r.Key)
	}
	if from.FileKeyRef != nil {
		given++
	}
	switch {
	case given == 0:
		c.invalid(&here, "", "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`")
	case e.Value != "":
		c.invalid(&here, "", "", "may not be specified when `value` is not empty")
	case given > 1:
		c.invalid(&here, "", "", "may not have more than one field specified at a time")
	}
}

// The fields of a pod that its containers may read. Source:
// https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
const (
	envFields    = " metadata.name metadata.namespace metadata.uid spec.nodeName spec.serviceAccountName status.hostIP status.hostIPs status.podIP status.podIPs "
	volumeFields = " metadata.annotations metadata.labels metadata.name metadata.namespace metadata.uid "
	envMaps      = " metadata.annotations metadata.labels "
	envResources = " limits.cpu limits.ephemeral-storage limits.memory requests.cpu requests.ephemeral-storage requests.memory "
)

// isWord says whether a list of words with a blank around each has a word.
func isWord(list, word string) bool {
	i := strings.Index(list, word)
	return i > 0 && word != "" && list[i-1] == ' ' && list[i+len(word)] == ' '
}

func (c *check) fieldRef(at *loc, r *corev1.ObjectFieldSelector, fields, maps string) {
	here := at.dot("fieldRef")
	if r.APIVersion == "" {
		c.required(&here, "apiVersion", "")
		return
	}
	if r.FieldPath == "" {
		c.required(&here, "fieldPath", "")
		return
	}
	name, key, isMap := strings.Cut(r.FieldPath, "['")
	if !isMap {
		if !isWord(fields, r.FieldPath) {
			c.notSupported(&here, "fieldPath", r.FieldPath, strings.Fields(fields))
		}
		return
	}
	key, ok := strings.CutSuffix(key, "']")
	if !ok || !isWord(maps, name) {
		c.invalid(&here, "fieldPath", r.FieldPath, "does not support subscript")
		return
	}
	if name == "metadata.annotations" {
		key = strings.ToLower(key)
	}
	c.qualified(&here, "", key)
}

func (c *check) resourceFieldRef(at *loc, r *corev1.ResourceFieldSelector, needsContainer bool) {
	here := at.dot("resourceFieldRef")
	switch {
	case needsContainer && r.ContainerName == "":
		c.required(&here, "containerName", "")
	case r.Resource == "":
		c.required(&here, "resource", "")
	case !isWord(envResources, r.Resource) && !strings.HasPrefix(r.Resource, "limits.hugepages-") && !strings.HasPrefix(r.Resource, "requests.hugepages-"):
		c.notSupported(&here, "resource", r.Resource, strings.Fields(envResources))
	}
}

func (c *check) keyRef(at *loc, name, object, key string) {
	here := at.dot(name)
	if object == "" {
		c.required(&here, "name", "")
	}
	if key == "" {
		c.required(&here, "key", "")
	} else if !isKey(key) {
		c.invalids(&here, "key", key, validation.IsConfigMapKey(key))
	}
}

func (c *check) envFrom(at *loc, e *corev1.EnvFromSource) {
	if e.Prefix != "" && !isEnvName(e.Prefix) {
		c.invalids(at, "prefix", e.Prefix, validation.IsRelaxedEnvVarName(e.Prefix))
	}
	switch {
	case e.ConfigMapRef == nil && e.SecretRef == nil:
		c.invalid(at, "", "", "must specify one of: `configMapRef` or `secretRef`")
	case e.ConfigMapRef != nil && e.SecretRef != nil:
		c.invalid(at, "", "", "may not have more than one field specified at a time")
	case e.ConfigMapRef != nil && e.ConfigMapRef.Name == "":
		here := at.dot("configMapRef")
		c.required(&here, "name", "")
	case e.SecretRef != nil && e.SecretRef.Name == "":
		here := at.dot("secretRef")
		c.required(&here, "name", "")
	}
}
