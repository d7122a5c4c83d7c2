package check

import (
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/scenarios"
)

// expression is a compiled expression.
type expression struct {
	text string
	out  *types.Type
	prog cel.Program
	uses sources
}

// sources are what an expression reads.
type sources struct {
	kinds    [kinds.Count]bool // any object of the kind
	refs     []kinds.Ref       // single objects
	services []kinds.Key       // their ready addresses
	ready    bool              // ready addresses of any service
	time     bool
	all      bool // an object whose name is only known at run time
}

// compile reads and type-checks an expression.
func (l *language) compile(text string) (*expression, []*common.Error) {
	return l.compileIn(l.env, text)
}

// compileWith is compile with one more variable.
func (l *language) compileWith(name string, t *types.Type, text string) (*expression, []*common.Error) {
	env, err := l.env.Extend(cel.Variable(name, t))
	if err != nil {
		return nil, []*common.Error{common.NewError(0, err.Error(), common.NewLocation(1, 0))}
	}
	return l.compileIn(env, text)
}

func (l *language) compileIn(env *cel.Env, text string) (*expression, []*common.Error) {
	clear(l.provider.unknown)
	a, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, issues.Errors()
	}
	if id, problem := nonsense(a.NativeRep()); problem != "" {
		return nil, []*common.Error{common.NewError(id, problem, a.NativeRep().SourceInfo().GetStartLocation(id))}
	}
	prog, err := env.Program(a, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, []*common.Error{common.NewError(0, err.Error(), common.NewLocation(1, 0))}
	}
	return &expression{text: text, out: a.OutputType(), prog: prog, uses: l.sources(a.NativeRep())}, nil
}

// compileCheck compiles the expression of a check, with errors as a person who
// wrote the scenario needs them.
func (l *language) compileCheck(file, field string, c *scenarios.Check) (*expression, []*kinds.InputError) {
	e, errs := l.compile(c.Expr)
	if errs != nil {
		list := make([]*kinds.InputError, len(errs))
		for i, err := range errs {
			list[i] = &kinds.InputError{File: file, Line: lineOf(c, err.Location.Line()), Field: field, Problem: l.explain(err.Message)}
		}
		return nil, list
	}
	if k := e.out.Kind(); k != types.BoolKind && k != types.DynKind {
		return nil, []*kinds.InputError{{File: file, Line: lineOf(c, 1), Field: field,
			Problem: fmt.Sprintf("the expression gives %s, want bool: something that is true or false", e.out)}}
	}
	return e, nil
}

// lineOf is the line in the file of a line of an expression. The text of a block
// (|) begins on the line after the field.
func lineOf(c *scenarios.Check, line int) int {
	if c.Line > 0 && strings.Contains(c.Expr, "\n") {
		return c.Line + line
	}
	return c.Line
}

var (
	undeclared = regexp.MustCompile(`^undeclared reference to '([^']*)'.*`)
	noOperator = regexp.MustCompile(`^found no matching overload for '_([^_]+)_' applied to '\((.*), (.*)\)'`)
	noField    = regexp.MustCompile(`^undefined field '([^']*)'`)
)

// explain puts CEL's message on one line and adds what was probably meant.
func (l *language) explain(msg string) string {
	msg = oneLine(msg)
	if before, _, found := strings.Cut(msg, " expecting {"); found {
		return before // all that might have followed is no help
	}
	if m := noField.FindStringSubmatch(msg); m != nil {
		if s := l.provider.unknown[m[1]]; s != nil {
			return s.unknownField(m[1])
		}
	}
	if m := undeclared.FindStringSubmatch(msg); m != nil {
		return fmt.Sprintf("there is no variable, list or function %q%s", m[1], meant(m[1], l.words()))
	}
	if m := noOperator.FindStringSubmatch(msg); m != nil {
		return fmt.Sprintf("%s does not go with %s and %s", m[1], m[2], m[3])
	}
	return msg
}

// words are the names that may stand in an expression.
func (l *language) words() []string {
	words := []string{timeVar, "get", "ready", "restarts", "condition", "quantity"}
	for _, i := range kinds.All() {
		words = append(words, i.Plural)
	}
	return words
}

// sources finds what a checked expression reads.
func (l *language) sources(a *ast.AST) sources {
	var s sources
	for _, r := range a.ReferenceMap() { //det:ok only marks members of sets
		name := strings.TrimPrefix(r.Name, ".")
		if k, ok := l.lists[name]; ok {
			s.kinds[k] = true
		}
		s.time = s.time || name == timeVar
	}
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.CallKind {
			s.addCall(e.AsCall())
		}
	}))
	return s
}

func (s *sources) addCall(c ast.CallExpr) {
	name := c.FunctionName()
	if !looksAround(name) {
		return
	}
	s.ready = s.ready || name == "ready"
	n, _ := nameOf(c.Args()[0], 0)
	switch whole := n.ref.Kind != 0; {
	case whole && name == "ready":
		s.services = append(s.services, n.ref.Key)
	case whole:
		s.refs = append(s.refs, n.ref)
	case name == "ready":
		s.kinds[kinds.EndpointSlice] = true
	case name == "restarts":
		s.kinds[kinds.Pod] = true
	case n.kind != 0:
		s.kinds[n.kind] = true
	default:
		s.all = true
	}
}

// nonsense finds what compiles but cannot be meant: a comparison of null with a
// field, for fields have a zero value instead and the check would never hold, or
// always; and the making of objects.
func nonsense(a *ast.AST) (at int64, problem string) {
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch {
		case problem != "":
		case e.Kind() == ast.StructKind:
			at, problem = e.ID(), "an expression reads objects, it cannot make a "+e.AsStruct().TypeName()
		case e.Kind() == ast.CallKind && comparesFieldWithNull(a, e.AsCall()):
			at, problem = e.ID(), "a field is never null, it has its zero value: ask has(object.field)"
		}
	}))
	return at, problem
}

func comparesFieldWithNull(a *ast.AST, c ast.CallExpr) bool {
	if f := c.FunctionName(); f != operators.Equals && f != operators.NotEquals {
		return false
	}
	for i, arg := range c.Args() {
		other := c.Args()[1-i]
		null := arg.Kind() == ast.LiteralKind && arg.AsLiteral() == types.NullValue
		plain := other.Kind() == ast.SelectKind || other.Kind() == ast.IdentKind
		if null && plain && a.GetType(other.ID()).Kind() != types.DynKind {
			return true
		}
	}
	return false
}
