// Package tree counts and removes folders that somebody else has filled: containers. It
// never leaves them by a link, also one that is put in the place of a folder meanwhile, and
// however deep they are it has few files open. (os.RemoveAll has one for each level: a
// folder in a folder, 20,000 times over, would take all that a process may open, and stay.)
//
// Used by live/image, live/agent and live/lab.
package tree
