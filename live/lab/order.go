package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Orders, one on a connection.
const (
	opStatus = "status"
	opAdd    = "add"
	opStart  = "start"
	opStop   = "stop"
	opKill   = "kill"
	opExec   = "exec"
)

type order struct {
	Op      string
	Service string   `json:",omitempty"`
	Spec    *Service `json:",omitempty"` // of the service to add
	Argv    []string `json:",omitempty"`
}

type answer struct {
	Error    string          `json:",omitempty"`
	Services []ServiceStatus `json:",omitempty"`
	Output   string          `json:",omitempty"`
	Code     int             `json:",omitempty"`
}

// ask gives an order to a host's first process.
func ask(ctx context.Context, s *state, host string, o order) (answer, error) {
	wait := orderMax
	if o.Op == opExec {
		wait = execMax
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var a answer
	err := inDir(hostDir(s, host), ordersName, func(path string) error {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err != nil {
			return err
		}
		defer c.Close()
		stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
		defer stop()
		if err := json.NewEncoder(c).Encode(o); err != nil {
			return err
		}
		err = json.NewDecoder(io.LimitReader(c, 2*stateBytesMax)).Decode(&a)
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("it does not answer: %w", ctx.Err())
		}
		return err
	})
	if err != nil {
		return a, fmt.Errorf("order %s: %w", o.Op, err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

func (i *initial) serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			var o order
			_ = c.SetReadDeadline(time.Now().Add(orderMax))
			if json.NewDecoder(io.LimitReader(c, stateBytesMax)).Decode(&o) != nil {
				return
			}
			_ = c.SetReadDeadline(time.Time{})
			a, err := i.obey(o, c)
			if err != nil {
				a.Error = err.Error()
			}
			_ = json.NewEncoder(c).Encode(a)
		}()
	}
}

func (i *initial) obey(o order, c net.Conn) (answer, error) {
	switch o.Op {
	case opStatus:
		return answer{Services: i.status()}, nil
	case opExec:
		return i.exec(o.Argv, c)
	case opAdd:
		if o.Spec == nil {
			return answer{}, errors.New("no service to add")
		}
		return answer{}, i.add(*o.Spec)
	case opStart, opStop, opKill:
		return answer{}, i.change(o.Op, o.Service)
	}
	return answer{}, fmt.Errorf("no order is named %q", o.Op)
}
