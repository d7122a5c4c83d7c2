package runtime

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what to do about an Error.
type Kind string

const (
	KindInvalid Kind = "invalid" // a spec that no host could carry out
	KindStart   Kind = "start"   // the command cannot be started: the reason StartError of a container
	KindGone    Kind = "gone"    // no such pod or container, or it does not run
	KindExists  Kind = "exists"  // there is one of that name
	KindHost    Kind = "host"    // this host cannot, now or ever
)

// Error is what the runtime answers; Text is fit for a status or an event.
type Error struct {
	Kind Kind
	Text string
}

func (e *Error) Error() string { return e.Text }

// KindOf is the kind of the Error that err is or wraps; KindHost for another.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindHost
}

func invalid(field, value, want string) error {
	return &Error{Kind: KindInvalid, Text: fmt.Sprintf("%s %.200q: %s", field, value, want)}
}

// Exit is the end of a run. An Exit without a name is the end of the sandbox itself,
// whose containers are of no use then.
type Exit struct {
	ID        ID        `json:"id"`
	Code      int       `json:"code"`   // 128 and the signal's number if a signal ended it
	Signal    int       `json:"signal"` // 0 if it ended by itself
	OOMKilled bool      `json:"oomKilled"`
	Lost      bool      `json:"lost"` // the shim died: nobody knows the real code
	Started   time.Time `json:"started"`
	Finished  time.Time `json:"finished"`
	LogError  string    `json:"logError,omitempty"` // the first write to the log that failed
}

// Pod is what is kept of a pod.
type Pod struct {
	Spec       SandboxSpec `json:"spec"`
	ShimPID    int         `json:"shimPID"`
	PausePID   int         `json:"pausePID"` // holds the namespaces
	Ready      bool        `json:"ready"`    // false: stop it and make another
	Started    time.Time   `json:"started"`
	Containers []Container `json:"containers"` // by name and run
}

// Container is what is kept of a run.
type Container struct {
	ID      ID        `json:"id"`
	PID     int       `json:"pid"` // of its first process, as the host counts
	Started time.Time `json:"started"`
	LogPath string    `json:"logPath"`
	Exit    *Exit     `json:"exit,omitempty"` // nil while it runs
}

// Stats are what a running container, or the whole pod if Name is empty, has used.
type Stats struct {
	Name            string    `json:"name"`
	Run             int       `json:"run"`
	Time            time.Time `json:"time"`
	CPUNanos        uint64    `json:"cpuNanos"` // since the start
	MemoryBytes     uint64    `json:"memoryBytes"`
	WorkingSetBytes uint64    `json:"workingSetBytes"` // what cannot be given back at once
	PIDs            uint64    `json:"pids"`
	ThrottledNanos  uint64    `json:"throttledNanos"`
}
