package behaviour

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Variable is the name of the environment variable that has a Behaviour.
const Variable = "SEATRIAL_STANDIN"

// BytesMax bounds a Behaviour's text.
const BytesMax = 64 << 10

// Duration is written as Go writes it: 1.5s.
type Duration time.Duration

// MarshalText writes it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads it; it must not be negative.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("duration %q: want one such as 300ms or 1m30s", text)
	}
	*d = Duration(v)
	return nil
}

// Behaviour is what a process does. It is that of a scenario's entry for the image, with
// what the pods say about it.
type Behaviour struct {
	Image          string   `json:"image"`            // by which name it is run
	Startup        Duration `json:"startup,omitzero"` // until it runs
	ReadyAfter     Duration `json:"readyAfter,omitzero"`
	RunFor         Duration `json:"runFor,omitzero"` // 0: until it is stopped
	ExitCode       int      `json:"exitCode,omitempty"`
	StopAfter      Duration `json:"stopAfter,omitzero"`
	UnhealthyAfter Duration `json:"unhealthyAfter,omitzero"` // 0: never
	MemoryStart    int64    `json:"memoryStart,omitempty"`   // bytes
	MemoryGrowth   int64    `json:"memoryGrowth,omitempty"`  // bytes a minute
	Logs           []Log    `json:"logs,omitempty"`          // none: it tells its start and its end
	Ports          []Port   `json:"ports,omitempty"`

	// Hooks and Liveness are what is asked by hooks and by liveness probes alone, as
	// ExecAsk and its like name it. Hooks succeed always; liveness does not wait until it
	// is ready. Whatever else is asked is about readiness.
	Hooks    []string `json:"hooks,omitempty"`
	Liveness []string `json:"liveness,omitempty"`
}

// Log is a line that is written once, or again and again; {n} stands for how often it was
// written before.
type Log struct {
	At    Duration `json:"at,omitzero"`
	Every Duration `json:"every,omitzero"`
	Line  string   `json:"line"`
}

// Port is a TCP port to listen on. Probed by a connection alone, it is open only while
// the process is ready and healthy; other ports are always, and HTTP's status tells.
type Port struct {
	Number int32 `json:"number"`
	TLS    bool  `json:"tls,omitempty"`
	Probed bool  `json:"probed,omitempty"`
}

// GRPCAsk is a health check over gRPC.
const GRPCAsk = "GRPC"

// ExecAsk is a command run in the container, HTTPAsk a request for a path.
func ExecAsk(command []string) string { return "EXEC " + strings.Join(command, " ") }

// HTTPAsk is a request for a path.
func HTTPAsk(path string) string {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return "GET " + path
}

// Text is the behaviour as the variable has it.
func (b *Behaviour) Text() (string, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(b); err != nil {
		return "", err
	}
	text := strings.TrimSuffix(out.String(), "\n")
	if len(text) > BytesMax {
		return "", fmt.Errorf("the behaviour of %s takes %d bytes, want at most %d: fewer or shorter log lines, hooks and probes", b.Image, len(text), BytesMax)
	}
	return text, nil
}

// Parse reads a Text.
func Parse(text string) (*Behaviour, error) {
	b := &Behaviour{}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(b); err != nil {
		return nil, fmt.Errorf("%s: %w", Variable, err)
	}
	if b.ExitCode < 0 || b.ExitCode > 255 {
		return nil, fmt.Errorf("%s: exitCode %d: want 0 to 255", Variable, b.ExitCode)
	}
	for _, p := range b.Ports {
		if p.Number < 1 || p.Number > 65535 {
			return nil, fmt.Errorf("%s: port %d: want 1 to 65535", Variable, p.Number)
		}
	}
	return b, nil
}
