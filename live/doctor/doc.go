// Package doctor says what of the real world this machine can do: a table of features
// of the kernel and of programs, each with what was found, what it is needed for and
// what to do about it.
//
// It reads what a file says, and tries the rest in network and mount namespaces that
// end with the thread that made them; nothing is left on the machine and nothing of it
// is changed. `seatrial doctor` calls it. It is not asked by the server or the agent,
// which feature-detect for themselves what they do.
package doctor
