package sim

import "testing"

// counter schedules its successor, as most actors do.
type counter struct {
	e  *Engine
	id ActorID
}

func (c *counter) Handle(m Msg) { c.e.After(10, c.id, Msg{A: m.A + 1, Kind: 1}) }

func TestAnEventAllocatesNothingInSteadyState(t *testing.T) {
	e := New(1)
	c := &counter{e: e}
	c.id = e.Register("counter", c)
	for range 1000 {
		e.After(5, c.id, Msg{})
	}
	limit := Time(0)
	run := func() {
		limit += 1000
		e.Run(limit, nil)
	}
	run()
	if got := testing.AllocsPerRun(20, run); got != 0 {
		t.Fatalf("100,000 events allocated %v times; an event must allocate nothing", got)
	}
}
