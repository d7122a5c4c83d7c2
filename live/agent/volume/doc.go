// Package volume makes a pod's volumes on a host: folders below the pod's own, tmpfs
// where the content is secret or to be in memory, and files made of the API's objects,
// which are changed in one step while containers read them.
//
// Setup is level-triggered: it makes what is missing, brings files up to date and
// touches nothing else, so that it serves for a new pod, for one that an earlier process
// of the agent has left, and for the periodical look at objects that may have changed.
//
// What a volume's files are is decided in nodeagent/inject; the objects are fetched by
// whoever calls. A subPath is resolved by the runtime when a container starts, beneath
// the volume and nowhere else. Volumes of kinds that this host cannot mount are refused
// with a text for an event.
package volume
