// Package lab makes several hosts of one machine, and breaks them: each is a process
// with its own network, mount, UTS, PID and IPC namespaces, on a switch that is a
// network namespace with a bridge. What runs on the hosts is the caller's; the lab
// knows no server or agent, only services, which are argument lists.
//
// # What a host is
//
// Its first process is this program again (Main, by the hidden verb HostVerb). It is
// process 1 of the host: it mounts the host's own /proc, /run, /tmp and /dev/shm,
// its data folder at DataDir and the folder of the lab's binary at BinDir, starts the
// services, reaps orphans, and takes orders at a socket. All of a host's processes are
// below one control group, /seatrial/LAB/HOST (Cgroup), in every hierarchy: in its leaf
// "host" to begin with; services that make groups must make them beside that leaf.
//
// The switch is such a process too, without namespaces but that of the network. No
// namespace is bound to a file: each lives as long as its processes, so the machine's
// mount table stays as it is, and a host that is killed is gone with all its kernel
// state, as after a power cut, but for its disk.
//
// # Addresses
//
// Of the subnet, .1 is this machine (so that kubectl reaches the servers), .10 and up
// are servers, .20 and up nodes, and .254 the switch, the hosts' default gateway, which
// forwards nothing: hosts need a default route for service addresses, and nothing of a
// lab goes to the outside.
//
// # State
//
// LABDIR/state.json says what was made, and is written before it is made; a process
// that Up has started but not yet recorded ends by itself when Up dies. So Down can
// clean after a crash at any point. Each operation holds LABDIR/lock and reads the
// state anew: a Lab may be used from any number of processes.
package lab
