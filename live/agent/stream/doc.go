// Package stream is the HTTPS endpoint of a node's agent: logs, exec, attach and
// port-forward of the pods that run here, as the API server asks for them on behalf of
// people with kubectl. Paths and protocols are those of the kubelet, so that what is
// known of one holds of the other:
//
//	GET  /containerLogs/NAMESPACE/POD/CONTAINER   parameters of PodLogOptions
//	     /exec/NAMESPACE/POD/CONTAINER            of PodExecOptions
//	     /attach/NAMESPACE/POD/CONTAINER          of PodAttachOptions
//	     /portForward/NAMESPACE/POD
//	     /proxy/NAMESPACE/POD/PORT/...            HTTP to the pod; https:PORT for TLS
//	GET  /pods
//	GET  /healthz
//
// It believes only the API server: a client must have a certificate of the cluster's
// authority with one of the common names in Config. A node's certificate is not enough,
// or one node could look into the pods of another. Who may do what was decided before
// the request came here.
//
// Exec and attach speak SPDY/3.1 (a POST; one stream each for stdin, stdout, stderr,
// errors and the terminal's size) or WebSocket (a GET; one byte before each message names
// the stream), in the protocols v5 and v4.channel.k8s.io and those before them. How the
// process ended is a Status on the error stream. Port-forward is SPDY, or SPDY inside WebSocket.
//
// Connections into a pod are made from within its network namespace, so a server that
// listens on localhost alone is reached.
//
// A session ends with its connection: an exec is killed then, an attached container
// goes on. Where a pod is, the agent knows: see Pods.
package stream
