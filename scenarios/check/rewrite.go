package check

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"seatrial.dev/seatrial/cluster/kinds"
)

// An aggregate is a part of an expression that asks of all objects of a kind how
// many satisfy a condition that looks at one object only, such as
//
//	pods.filter(p, p.status.phase == "Running").size()
//
// Its value follows from counts, which are kept up as objects change, so the part
// is replaced by a variable and costs the same in a cluster of any size.
type aggregate struct {
	what  question
	kind  kinds.Kind
	tally *tally // nil for the number of all objects of the kind, which the store knows
}

// question is what an aggregate asks of the objects that its filters let through.
type question uint8

const (
	howMany question = iota + 1 // .filter(x, P).size()
	whether                     // .exists(x, P)
	whole                       // .all(x, P)
	justOne                     // .exists_one(x, P)
)

func (q question) cel() *types.Type {
	if q == howMany {
		return types.IntType
	}
	return types.BoolType
}

// variable is the name of the variable that stands for an aggregate.
func (a aggregate) variable() string {
	if a.tally == nil {
		return aggregatePrefix + a.kind.Info().Plural
	}
	return fmt.Sprintf("%s%d_%d", aggregatePrefix, a.tally.number, a.what)
}

// predicate is a condition on one object: the body of a macro, with the name that
// it calls the object by.
type predicate struct {
	name, text string
}

// aggregatePrefix begins the names of the variables that stand for aggregates.
const aggregatePrefix = "__aggregate_"

// rewritten is an expression with its aggregates replaced.
type rewritten struct {
	*expression
	tallies []*tally     // of its aggregates, each once
	sizes   []kinds.Kind // whose number of objects it asks for
}

// rewrite replaces the aggregates of an expression that has been compiled as it
// stands. Where there is none, or the rest cannot be compiled, the expression is
// evaluated as it was written.
func (s *scope) rewrite(e *expression) rewritten {
	asWritten := rewritten{expression: e}
	a, issues := s.lang.bare.Parse(e.text)
	if issues.Err() != nil {
		return asWritten
	}
	r := &rewriter{s: s, factory: ast.NewExprFactory(), info: a.NativeRep().SourceInfo()}
	r.visit(a.NativeRep().Expr(), nil)
	if len(r.found) == 0 {
		return asWritten
	}
	options := make([]cel.EnvOption, len(r.found))
	for i, f := range r.found {
		options[i] = cel.Variable(f.name, f.what.cel())
	}
	env, err := s.lang.env.Extend(options...)
	if err != nil {
		return asWritten
	}
	rest, errs := s.lang.compileIn(env, unparse(a.NativeRep().Expr(), r.info))
	if errs != nil {
		return asWritten
	}
	out := rewritten{expression: rest}
	for _, f := range r.found {
		s.aggregates[f.name] = f.aggregate
		switch {
		case f.tally == nil:
			out.sizes = append(out.sizes, f.kind)
		case !slices.Contains(out.tallies, f.tally):
			out.tallies = append(out.tallies, f.tally)
		}
	}
	return out
}

// rewriter goes through an expression whose macros are still calls.
type rewriter struct {
	s       *scope
	factory ast.ExprFactory
	info    *ast.SourceInfo
	found   []named
}

type named struct {
	name string
	aggregate
}

// visit replaces the aggregates in e; bound are the names that macros around it
// have given to elements.
func (r *rewriter) visit(e ast.Expr, bound []string) {
	if a, ok := r.aggregate(e, bound); ok {
		name := a.variable()
		if !slices.ContainsFunc(r.found, func(n named) bool { return n.name == name }) {
			r.found = append(r.found, named{name, a})
		}
		e.SetKindCase(r.factory.NewIdent(e.ID(), name))
		return
	}
	eachPart(e, bound, r.visit)
}

// eachPart calls f for the direct parts of an expression, with the names bound
// there.
func eachPart(e ast.Expr, bound []string, f func(ast.Expr, []string)) {
	switch e.Kind() {
	case ast.CallKind:
		c := e.AsCall()
		args := c.Args()
		if c.IsMemberFunction() {
			f(c.Target(), bound)
		}
		switch {
		case !c.IsMemberFunction() && c.FunctionName() == operators.Has:
			return // its argument must stay the selection of a field
		case isMacro(c):
			bound = append(slices.Clip(bound), args[0].AsIdent())
			args = args[1:]
		}
		for _, a := range args {
			f(a, bound)
		}
	case ast.SelectKind:
		f(e.AsSelect().Operand(), bound)
	case ast.ListKind:
		for _, v := range e.AsList().Elements() {
			f(v, bound)
		}
	case ast.MapKind:
		for _, v := range e.AsMap().Entries() {
			f(v.AsMapEntry().Key(), bound)
			f(v.AsMapEntry().Value(), bound)
		}
	}
}

// isMacro says whether a call gives a name to the elements of its target.
func isMacro(c ast.CallExpr) bool {
	if !c.IsMemberFunction() || len(c.Args()) < 2 || c.Args()[0].Kind() != ast.IdentKind {
		return false
	}
	switch c.FunctionName() {
	case operators.All, operators.Exists, operators.ExistsOne, "existsOne", operators.Map, operators.Filter, "optMap", "optFlatMap":
		return true
	}
	return false
}

// aggregate recognizes an aggregate.
func (r *rewriter) aggregate(e ast.Expr, bound []string) (aggregate, bool) {
	if e.Kind() != ast.CallKind {
		return aggregate{}, false
	}
	c := e.AsCall()
	over, what := c.Target(), question(0)
	switch name := c.FunctionName(); {
	case name == "size" && c.IsMemberFunction() && len(c.Args()) == 0:
		what = howMany
	case name == "size" && !c.IsMemberFunction() && len(c.Args()) == 1:
		over, what = c.Args()[0], howMany
	case !isMacro(c) || len(c.Args()) != 2:
	case name == operators.All:
		what = whole
	case name == operators.Exists:
		what = whether
	case name == operators.ExistsOne || name == "existsOne":
		what = justOne
	}
	if what == 0 {
		return aggregate{}, false
	}
	kind, preds, ok := r.filtered(over, bound)
	if ok && what != howMany {
		var p predicate
		p, ok = r.predicate(c, bound)
		preds = append(preds, p)
	}
	if !ok {
		return aggregate{}, false
	}
	if len(preds) == 0 {
		return aggregate{what: what, kind: kind}, true
	}
	t, ok := r.s.tallyOf(kind, preds)
	return aggregate{what, kind, t}, ok
}

// filtered recognizes the list of a kind behind any number of filters.
func (r *rewriter) filtered(e ast.Expr, bound []string) (kinds.Kind, []predicate, bool) {
	if e.Kind() == ast.IdentKind {
		k, ok := r.s.lang.lists[e.AsIdent()]
		return k, nil, ok && !slices.Contains(bound, e.AsIdent())
	}
	if e.Kind() != ast.CallKind {
		return 0, nil, false
	}
	c := e.AsCall()
	if !isMacro(c) || c.FunctionName() != operators.Filter || len(c.Args()) != 2 {
		return 0, nil, false
	}
	k, preds, ok := r.filtered(c.Target(), bound)
	if !ok {
		return 0, nil, false
	}
	p, ok := r.predicate(c, bound)
	return k, append(preds, p), ok
}

// predicate takes the body of a macro if it looks at nothing but its element.
func (r *rewriter) predicate(c ast.CallExpr, bound []string) (predicate, bool) {
	name, body := c.Args()[0].AsIdent(), c.Args()[1]
	if _, list := r.s.lang.lists[name]; list || name == timeVar || strings.HasPrefix(name, ".") {
		return predicate{}, false
	}
	if !r.local(body, append(slices.Clip(bound), name), len(bound)) {
		return predicate{}, false
	}
	return predicate{name, unparse(body, r.info)}, true
}

// local says whether an expression reads no variable but the names bound from the
// given place on, and calls no function that looks at the cluster.
func (r *rewriter) local(e ast.Expr, bound []string, from int) bool {
	switch e.Kind() {
	case ast.IdentKind:
		name := e.AsIdent()
		if slices.Contains(bound[from:], name) {
			return true
		}
		_, list := r.s.lang.lists[name]
		return !list && name != timeVar && !strings.HasPrefix(name, ".") && !slices.Contains(bound, name)
	case ast.CallKind:
		if c := e.AsCall(); !c.IsMemberFunction() && looksAround(c.FunctionName()) {
			return false
		}
	case ast.StructKind, ast.ComprehensionKind, ast.UnspecifiedExprKind:
		return false
	}
	if e.Kind() == ast.CallKind && !e.AsCall().IsMemberFunction() && e.AsCall().FunctionName() == operators.Has {
		return r.local(e.AsCall().Args()[0], bound, from)
	}
	ok := true
	eachPart(e, bound, func(part ast.Expr, bound []string) { ok = ok && r.local(part, bound, from) })
	return ok
}

// looksAround says whether a function's result depends on the state of the run.
func looksAround(function string) bool {
	return function == "get" || function == "ready" || function == "restarts" || strings.HasPrefix(function, "@get_")
}
