// Package crilog writes what a container says to a file, and reads it, in the format of
// the Container Runtime Interface, the one that log collectors of Kubernetes read:
//
//	2006-01-02T15:04:05.999999999Z07:00 stdout F the line
//
// F is a full line, P a part of one: of a line longer than LineBytesMax, or at the
// end without a line feed, so that a reader can give back the very bytes. A file
// that has reached its size is renamed to NAME.1, that to NAME.2 and so on; the
// oldest goes. A reader that follows sees the file at the path become another.
//
// A Log is the shim's, which writes from a goroutine for each stream: it is safe for
// that. Read is the agent's; it takes no part in the writing.
package crilog
