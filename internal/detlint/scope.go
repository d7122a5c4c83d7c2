package detlint

import "strings"

// module is the path of the module that the rules are for.
const module = "seatrial.dev/seatrial"

// exempt are the packages that the rules are not for, with everything below them.
var exempt = []string{
	"live",                   // real hosts: clocks, goroutines and sockets are its work
	"cluster/apiserver",      // serves HTTP, one goroutine a request
	"cluster/auth/auditfile", // the audit log's files, for the goroutines of a server
	"cmd",                    // the command line: progress by the wall clock, signals
	"sim/play",               // runs several worlds at a time and reports wall time; each world is in sim/world
	"sim/serve",              // holds a world to the wall clock and lets many ask it; the world itself is in sim/world
	"bench",                  // measures wall time
	"internal/detlint",       // part of no run
	"internal/arch",          // part of no run
}

// core are the packages that run in both worlds and so touch no file and no
// environment. cluster/apiserver is exempt before this is asked.
var core = []string{"cluster", "sched", "ctrl", "nodeagent"}

// deciding are the packages whose results must not depend on how a processor
// rounds.
var deciding = []string{"sched", "ctrl", "nodeagent", "cluster/api"}

// rounding are packages below those that use floating point with care: each step
// rounds by itself, so that it comes out the same on every processor.
var rounding = []string{"sched/rounding"}

// scope is which rules are for a package.
type scope struct {
	covered, core, deciding bool
}

// scopeOf takes an import path, as the compiler or go vet writes it.
func scopeOf(path string) scope {
	path, _, _ = strings.Cut(path, " ") // "p [p.test]" is p with its tests
	rel, ok := strings.CutPrefix(path, module)
	if !ok || rel != "" && rel[0] != '/' {
		return scope{}
	}
	rel = strings.TrimPrefix(rel, "/")
	if within(rel, exempt) {
		return scope{}
	}
	return scope{covered: true, core: within(rel, core), deciding: within(rel, deciding) && !within(rel, rounding)}
}

// within says whether a path is one of the folders or below one.
func within(rel string, folders []string) bool {
	for _, f := range folders {
		if rel == f || strings.HasPrefix(rel, f+"/") {
			return true
		}
	}
	return false
}
