// Package seccomp has the system calls that a container is not to make, as the filter
// the kernel takes, and puts it on a container's first process and on each exec.
//
// Which they are is Docker's and containerd's default, by what it refuses: what acts on
// the whole host or widens its surface without need, each unless the container has the
// capability that is made for it. What is refused answers EPERM; what is newer than this
// list, and clone3, whose flags a filter cannot see, answers ENOSYS, upon which libraries
// fall back to what they did before it was there.
//
// It is not libseccomp: docs/adr/0017-a-filter-of-our-own.md says why. Default is pure;
// Arm belongs in the program that becomes the container's process, and nowhere else, as it
// has the linker put a function of its own before setgid.
package seccomp
