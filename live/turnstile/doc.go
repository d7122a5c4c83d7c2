// Package turnstile limits how many connections a listener lets in at a time: of all
// together, and of each address. Before a client has said who it is, its address is all
// that is known of it, and each connection costs an open file, of which a process has only
// so many: without them an etcd in the same process could not write. A pod that opens
// thousands of connections keeps out those of its own address, and nobody else.
//
// Used by live/server and live/agent/stream for their ports.
package turnstile
