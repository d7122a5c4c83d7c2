// Package container turns a container of a pod into what the runtime is to start: its
// command, user, capabilities, limits and mounts, by the rules of the kubelet.
//
// Everything but the look into an image's /etc/passwd is pure. Errors are those of a
// container that cannot be created as its object says it, for the waiting reason
// CreateContainerConfigError.
package container
