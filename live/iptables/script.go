package iptables

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/nodeagent/proxy"
)

// editsMax is how many rules of a shared chain are put in or taken out one by one;
// beyond it the whole chain is written.
const editsMax = 64

// plan is all chains as they are to stand, kept service by service.
type plan struct {
	rules  *proxy.RuleSet
	parts  map[kinds.Key]*part
	chains map[chainName][]rule
}

// script is the input of one restore, gathered by table.
type script struct {
	lines   map[string][]string // edits of chains, in order
	declare map[chainName]bool  // chains that begin empty
	drop    []chainName
	rules   int
}

func newScript() *script {
	return &script{lines: map[string][]string{}, declare: map[chainName]bool{}}
}

func (s *script) empty() bool { return len(s.lines) == 0 && len(s.declare) == 0 && len(s.drop) == 0 }

func (s *script) edit(c chainName, op string, rest ...any) {
	s.lines[c.table] = append(s.lines[c.table], strings.TrimSuffix(fmt.Sprintln(append([]any{op, c.name}, rest...)...), "\n"))
	s.rules++
}

// write replaces the whole chain.
func (s *script) write(c chainName, rules []rule) {
	s.declare[c] = true
	for _, r := range rules {
		s.edit(c, "-A", r)
	}
}

// remove takes a chain away that nothing will lead to any more.
func (s *script) remove(c chainName) {
	s.declare[c] = true
	s.drop = append(s.drop, c)
}

// change turns the chain from old into now by as few edits as a common head and tail
// leave; positions count from 1.
func (s *script) change(c chainName, old, now []rule) {
	head := 0
	for head < len(old) && head < len(now) && old[head] == now[head] {
		head++
	}
	tail := 0
	for tail < len(old)-head && tail < len(now)-head && old[len(old)-1-tail] == now[len(now)-1-tail] {
		tail++
	}
	out, in := len(old)-head-tail, now[head:len(now)-tail]
	if out+len(in) > editsMax {
		s.write(c, now)
		return
	}
	for range out {
		s.edit(c, "-D", head+1)
	}
	for i, r := range in {
		s.edit(c, "-I", head+1+i, r)
	}
}

// text is what iptables-restore reads: in each table first the chains that begin
// empty, then the edits, then the chains that go.
func (s *script) text() []byte {
	var b bytes.Buffer
	declared := slices.SortedFunc(maps.Keys(s.declare), compareChains)
	for _, table := range []string{filter, nat} {
		from := b.Len()
		fmt.Fprintf(&b, "*%s\n", table)
		head := b.Len()
		for _, c := range declared {
			if c.table == table {
				fmt.Fprintf(&b, ":%s - [0:0]\n", c.name)
			}
		}
		for _, l := range s.lines[table] {
			b.WriteString(l)
			b.WriteByte('\n')
		}
		for _, c := range s.drop {
			if c.table == table {
				fmt.Fprintf(&b, "-X %s\n", c.name)
			}
		}
		if b.Len() == head {
			b.Truncate(from)
			continue
		}
		b.WriteString("COMMIT\n")
	}
	return b.Bytes()
}

func compareChains(a, b chainName) int {
	return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.name, b.name))
}

// update brings the plan to another rule set, writes the difference and says what it is.
// What the first update of a plan writes is of no use; see full.
func (p *plan) update(to *proxy.RuleSet, s *script) []proxy.Change {
	r := renderer{&to.Config}
	fresh := p.chains == nil
	if fresh {
		p.parts, p.chains = map[kinds.Key]*part{}, r.fixed()
	}
	var touched [sharedCount]bool
	changes := proxy.Diff(p.rules, to)
	for _, c := range changes {
		old, now := p.parts[c.Key], &part{}
		if old == nil {
			old = &part{}
		}
		if c.New == nil {
			delete(p.parts, c.Key)
		} else {
			now = r.service(c.New)
			p.parts[c.Key] = now
		}
		for i := range touched {
			touched[i] = touched[i] || !slices.Equal(old.shared[i], now.shared[i])
		}
		p.replace(old, now, s)
	}
	p.rules = to
	for i, c := range sharedNames {
		if fresh || touched[i] {
			old := p.chains[c]
			p.chains[c] = p.gather(r, i)
			s.change(c, old, p.chains[c])
		}
	}
	return changes
}

// replace puts a service's own chains in the place of its old ones.
func (p *plan) replace(old, now *part, s *script) {
	for _, name := range slices.Sorted(maps.Keys(now.own)) {
		c := chainName{nat, name}
		if was, there := old.own[name]; !there || !slices.Equal(was, now.own[name]) {
			s.write(c, now.own[name])
		}
		p.chains[c] = now.own[name]
	}
	for _, name := range slices.Sorted(maps.Keys(old.own)) {
		if _, stays := now.own[name]; !stays {
			s.remove(chainName{nat, name})
			delete(p.chains, chainName{nat, name})
		}
	}
}

// gather is a shared chain: the rules of all services in the order of their keys.
func (p *plan) gather(r renderer, shared int) (out []rule) {
	for s := range p.rules.Services() {
		out = append(out, p.parts[s.Key].shared[shared]...)
	}
	return append(out, r.last(shared)...)
}

// full writes every chain, whatever the kernel has, removes our other chains, and puts
// missing jumps before the rules of the built-in chains.
func (p *plan) full(has saved, s *script) {
	for _, c := range slices.SortedFunc(maps.Keys(p.chains), compareChains) {
		s.write(c, p.chains[c])
	}
	for _, c := range has.sorted() {
		if _, wanted := p.chains[c]; !wanted && ours(c.name) {
			s.remove(c)
		}
	}
	for _, j := range slices.Backward(jumps()) {
		if !slices.Contains(has[j.from], j.rule) {
			s.edit(j.from, "-I", 1, j.rule)
		}
	}
}

// sweep removes all that is ours.
func sweep(has saved, s *script) {
	for _, j := range jumps() {
		for _, r := range has[j.from] {
			if r == j.rule {
				s.edit(j.from, "-D", r)
			}
		}
	}
	for _, c := range has.sorted() {
		if ours(c.name) {
			s.remove(c)
		}
	}
}

// saved is what the kernel has: chains with their rules.
type saved map[chainName][]rule

func (h saved) sorted() []chainName { return slices.SortedFunc(maps.Keys(h), compareChains) }

// read adds the output of iptables-save.
func (h saved) read(r io.Reader) error {
	table := ""
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":"):
			name, _, _ := strings.Cut(line[1:], " ")
			h[chainName{table, name}] = nil
		case strings.HasPrefix(line, "-A "):
			name, rest, _ := strings.Cut(line[3:], " ")
			c := chainName{table, name}
			h[c] = append(h[c], rest)
		}
	}
	return lines.Err()
}

// driftMax is how many differences Check lists.
const driftMax = 20

// drift compares what is to stand with what the kernel has.
func (p *plan) drift(has saved) (out []string) {
	say := func(c chainName, format string, a ...any) {
		if len(out) < driftMax {
			out = append(out, fmt.Sprintf("table %s, chain %s: ", c.table, c.name)+fmt.Sprintf(format, a...))
		}
	}
	for _, c := range slices.SortedFunc(maps.Keys(p.chains), compareChains) {
		rules, there := has[c]
		if !there {
			say(c, "is not there")
			continue
		}
		if want := p.chains[c]; !slices.Equal(rules, want) {
			i := 0
			for i < len(rules) && i < len(want) && rules[i] == want[i] {
				i++
			}
			say(c, "has %d rules, want %d; rule %d is %q, want %q", len(rules), len(want), i+1, at(rules, i), at(want, i))
		}
	}
	for _, c := range has.sorted() {
		if _, wanted := p.chains[c]; !wanted && ours(c.name) {
			say(c, "is no chain of these rules")
		}
	}
	for _, j := range jumps() {
		if !slices.Contains(has[j.from], j.rule) {
			say(j.from, "lacks %q", j.rule)
		}
	}
	return out
}

func at(rules []rule, i int) rule {
	if i < len(rules) {
		return rules[i]
	}
	return ""
}
