package scenarios

import (
	"fmt"
	"strings"

	"seatrial.dev/seatrial/cluster/kinds"
)

func (Apply) action()    {}
func (Delete) action()   {}
func (Patch) action()    {}
func (Scale) action()    {}
func (SetImage) action() {}
func (Crash) action()    {}
func (Restart) action()  {}
func (Freeze) action()   {}
func (Thaw) action()     {}
func (Cut) action()      {}
func (Heal) action()     {}
func (Cordon) action()   {}
func (Drain) action()    {}
func (Request) action()  {}

func (a Apply) String() string {
	names := make([]string, len(a.Objects))
	for i, o := range a.Objects {
		names[i] = kinds.RefOf(o).String()
	}
	return "apply " + strings.Join(names, ", ")
}

func (a Delete) String() string { return "delete " + a.Ref.String() }
func (a Patch) String() string  { return "patch " + a.Ref.String() }
func (a Scale) String() string  { return fmt.Sprintf("scale %s to %d", a.Ref, a.Replicas) }
func (a SetImage) String() string {
	return fmt.Sprintf("set image of %s to %s", a.Ref, a.Image)
}
func (a Crash) String() string   { return "crash " + a.Node }
func (a Restart) String() string { return "restart " + a.Node }
func (a Freeze) String() string  { return "freeze " + a.Node }
func (a Thaw) String() string    { return "thaw " + a.Node }
func (a Drain) String() string   { return "drain " + a.Node }

func (a Cordon) String() string {
	if a.Undo {
		return "uncordon " + a.Node
	}
	return "cordon " + a.Node
}

func (a Cut) String() string { return "cut " + between(a.From, a.To, a.OneWay) }

func (a Heal) String() string {
	if len(a.From) == 0 {
		return "heal all"
	}
	return "heal " + between(a.From, a.To, a.OneWay)
}

func between(from, to []string, oneWay bool) string {
	if len(to) == 0 {
		return strings.Join(from, ", ") + " from all others"
	}
	arrow := " from "
	if oneWay {
		arrow = " one way to "
	}
	return strings.Join(from, ", ") + arrow + strings.Join(to, ", ")
}
