package check

import (
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
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
	noField    = regexp.MustCompile(`^undefined field '([^']*)'`)
)

// explain puts CEL's message on one line and adds what was probably meant.
func (l *language) explain(msg string) string {
	msg = strings.Join(strings.Fields(msg), " ")
	if m := noField.FindStringSubmatch(msg); m != nil {
		if s := l.provider.unknown[m[1]]; s != nil {
			return s.unknownField(m[1])
		}
	}
	if m := undeclared.FindStringSubmatch(msg); m != nil {
		msg = fmt.Sprintf("there is no variable, list or function %q", m[1])
		if near := kinds.Nearest(m[1], l.words()); near != "" {
			msg += ", did you mean " + near + "?"
		}
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
	for _, r := range a.ReferenceMap() { //det:ok each marks its own place
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
	switch {
	case name == "get" || name == "ready" || name == "restarts" || strings.HasPrefix(name, "@get_"):
	default:
		return
	}
	r, literal, _ := literalRef(c.Args()[0], 0)
	switch {
	case literal && name == "ready":
		s.services = append(s.services, r.Key)
	case literal:
		s.refs = append(s.refs, r)
	case name == "ready":
		s.kinds[kinds.EndpointSlice] = true
	case name == "restarts":
		s.kinds[kinds.Pod] = true
	default:
		s.all = true
	}
}
