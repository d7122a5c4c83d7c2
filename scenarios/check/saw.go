package check

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/parser"

	"seatrial.dev/seatrial/cluster/kinds"
)

// What is shown of one check that failed.
const (
	shownMax   = 5   // elements of a list, names of objects
	partsMax   = 8   // parts of an expression
	textMax    = 300 // characters of one value
	unwrapped  = 1 << 20
	noValueYet = "nothing to show"
)

// saw tells the values that the parts of a check's expression have now. It costs
// by the size of the cluster and is asked for once a failed check.
func (j *Judge) saw(c *judged) string {
	v, _, err := c.expr.prog.Eval(j.scope)
	a, issues := j.lang.bare.Parse(c.Expr)
	if issues.Err() != nil {
		return noValueYet // it compiled, so it parses
	}
	w := &witness{j: j, info: a.NativeRep().SourceInfo(), seen: map[string]bool{}}
	w.bool(a.NativeRep().Expr())
	switch _, isBool := v.(types.Bool); {
	case err != nil && !w.erred:
		w.parts = append(w.parts, "error: "+oneLine(err.Error()))
	case err == nil && !isBool:
		w.parts = append(w.parts, "the expression gives "+v.Type().TypeName()+", want bool")
	}
	return strings.Join(w.parts, "; ")
}

// witness gathers the parts of an expression with their values.
type witness struct {
	j     *Judge
	info  *ast.SourceInfo
	parts []string
	seen  map[string]bool
	erred bool // some part showed an error
}

// bool goes through a condition down to what it compares.
func (w *witness) bool(e ast.Expr) {
	if e.Kind() != ast.CallKind {
		w.value(e)
		return
	}
	c := e.AsCall()
	switch c.FunctionName() {
	case operators.LogicalAnd:
		w.and(e)
	case operators.LogicalOr, operators.LogicalNot, operators.Conditional:
		for _, a := range c.Args() {
			w.bool(a)
		}
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
		operators.In:
		for _, a := range c.Args() {
			w.value(a)
		}
	default:
		if isMacro(c) || !c.IsMemberFunction() || len(c.Args()) == 0 {
			w.value(e)
			return
		}
		w.value(c.Target()) // of text.startsWith("x") the text tells more
		for _, a := range c.Args() {
			w.value(a)
		}
	}
}

// and shows of a conjunction only what is not true, for the rest did not matter;
// all of it where that cannot be told.
func (w *witness) and(e ast.Expr) {
	before := len(w.parts)
	for _, a := range e.AsCall().Args() {
		if v, err := w.eval(a); err != nil || v != types.True {
			w.bool(a)
		}
	}
	if len(w.parts) == before {
		for _, a := range e.AsCall().Args() {
			w.bool(a)
		}
	}
}

// value shows what an operand is; of arithmetic, what its operands are.
func (w *witness) value(e ast.Expr) {
	switch e.Kind() {
	case ast.LiteralKind:
		return
	case ast.ListKind:
		for _, v := range e.AsList().Elements() {
			w.value(v)
		}
		return
	case ast.CallKind:
		c := e.AsCall()
		switch c.FunctionName() {
		case operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo, operators.Negate:
			for _, a := range c.Args() {
				w.value(a)
			}
			return
		case operators.All:
			if len(c.Args()) == 2 && c.IsMemberFunction() {
				w.all(e)
				return
			}
		}
	}
	if !w.looks(e) {
		return
	}
	v, err := w.eval(e)
	if err != nil {
		w.fail(e, oneLine(err.Error())+w.culprits(e))
		return
	}
	w.add(e, show(v))
}

// looks says whether an expression looks at the run: the others are as they were
// written.
func (w *witness) looks(e ast.Expr) bool {
	switch e.Kind() {
	case ast.IdentKind:
		_, list := w.j.lang.lists[e.AsIdent()]
		return list || e.AsIdent() == timeVar
	case ast.CallKind:
		if c := e.AsCall(); !c.IsMemberFunction() && looksAround(c.FunctionName()) {
			return true
		}
	}
	found := false
	eachPart(e, nil, func(part ast.Expr, _ []string) { found = found || w.looks(part) })
	return found
}

func (w *witness) fail(e ast.Expr, problem string) {
	w.erred = true
	w.add(e, "error: "+problem)
}

// culprits names the elements of a list at which the predicate of a macro failed.
func (w *witness) culprits(e ast.Expr) string {
	for e.Kind() == ast.CallKind {
		c := e.AsCall()
		switch {
		case isMacro(c) && len(c.Args()) == 2:
			over, err := w.eval(c.Target())
			if err != nil {
				e = c.Target()
				continue
			}
			_, failed, err := w.failing(c, over)
			if err != nil || len(failed) == 0 {
				return ""
			}
			return " for " + names(types.NewRefValList(w.j.lang.x, failed))
		case c.IsMemberFunction():
			e = c.Target()
		case len(c.Args()) == 1:
			e = c.Args()[0]
		default:
			return ""
		}
	}
	return ""
}

func (w *witness) add(e ast.Expr, value string) {
	text := w.text(e)
	if !w.seen[text] && len(w.parts) < partsMax {
		w.seen[text] = true
		w.parts = append(w.parts, text+" = "+value)
	}
}

func (w *witness) text(e ast.Expr) string { return unparse(e, w.info) }

// unparse is the text of an expression, on one line.
func unparse(e ast.Expr, info *ast.SourceInfo) string {
	text, err := parser.Unparse(e, info, parser.WrapOnColumn(unwrapped))
	if err != nil {
		return noValueYet
	}
	return text
}

// eval evaluates a part of the expression by itself.
func (w *witness) eval(e ast.Expr) (ref.Val, error) {
	x, errs := w.j.lang.compile(w.text(e))
	if errs != nil {
		return nil, errors.New(errs[0].Message)
	}
	v, _, err := x.prog.Eval(w.j.scope)
	return v, err
}

// all names the elements for which list.all(x, P) does not hold.
func (w *witness) all(e ast.Expr) {
	c := e.AsCall()
	over, err := w.eval(c.Target())
	if err != nil {
		w.fail(e, oneLine(err.Error()))
		return
	}
	bad, failed, err := w.failing(c, over)
	if err != nil {
		w.fail(e, oneLine(err.Error()))
		return
	}
	switch {
	case len(bad) > 0:
		w.add(e, "false for "+names(types.NewRefValList(w.j.lang.x, bad)))
	case len(failed) > 0:
		_, err := w.eval(e)
		w.fail(e, oneLine(fmt.Sprint(err))+" for "+names(types.NewRefValList(w.j.lang.x, failed)))
	default:
		w.add(e, "true")
	}
}

// failing are the elements for which the predicate of a macro is not true, and
// those for which it cannot be evaluated.
func (w *witness) failing(c ast.CallExpr, over ref.Val) (bad, failed []ref.Val, err error) {
	l, ok := over.(traits.Lister)
	if !ok || c.Args()[0].Kind() != ast.IdentKind {
		return nil, nil, fmt.Errorf("%s cannot be shown", w.text(c.Target()))
	}
	target, errs := w.j.lang.compile(w.text(c.Target()))
	if errs != nil {
		return nil, nil, errors.New(errs[0].Message)
	}
	elem := types.DynType
	if p := target.out.Parameters(); target.out.Kind() == types.ListKind && len(p) == 1 {
		elem = p[0]
	}
	name := c.Args()[0].AsIdent()
	pred, errs := w.j.lang.compileWith(name, elem, w.text(c.Args()[1]))
	if errs != nil {
		return nil, nil, errors.New(errs[0].Message)
	}
	for i := range int(l.Size().(types.Int)) {
		v := l.Get(types.Int(i))
		holds, _, err := pred.prog.Eval(&binding{w.j.scope, name, v})
		switch {
		case err != nil:
			failed = append(failed, v)
		case holds != types.True:
			bad = append(bad, v)
		}
	}
	return bad, failed, nil
}

// show writes a value as an expression would, objects as their names.
func show(v ref.Val) string {
	switch v := v.(type) {
	case types.String:
		return strconv.Quote(cut(string(v)))
	case types.Timestamp:
		return v.Time.UTC().Format(time.RFC3339)
	case *object:
		return v.name()
	case traits.Lister:
		return "[" + names(v) + "]"
	case traits.Mapper:
		return cut(showMap(v))
	case types.Null:
		return "null"
	case types.Bytes:
		return fmt.Sprintf("%d bytes", len(v))
	}
	return cut(fmt.Sprint(v.Value()))
}

// names shows at most shownMax elements of a list.
func names(l traits.Lister) string {
	n := int(l.Size().(types.Int))
	var b strings.Builder
	for i := range min(n, shownMax) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(show(l.Get(types.Int(i))))
	}
	if n > shownMax {
		fmt.Fprintf(&b, " and %d more", n-shownMax)
	}
	return b.String()
}

func showMap(m traits.Mapper) string {
	var parts []string
	for it := m.Iterator(); it.HasNext() == types.True; {
		k := it.Next()
		parts = append(parts, show(k)+": "+show(m.Get(k)))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// name is namespace/name of an object, or what it is part of.
func (o *object) name() string {
	if k, ok := o.ptr.(kinds.Object); ok {
		return kinds.KeyOf(k).String()
	}
	if n, ok := o.fieldValue("name").(types.String); ok && n != "" {
		return string(n)
	}
	return "a " + o.typ.cel.TypeName()
}

func cut(s string) string {
	if len(s) > textMax {
		return strings.ToValidUTF8(s[:textMax], "") + "…"
	}
	return s
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
