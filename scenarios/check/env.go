package check

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"k8s.io/apimachinery/pkg/api/resource"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/scenarios"
)

// language is CEL as checks speak it: with the cluster's types, a list per kind,
// and a few functions that look into the state of the run.
type language struct {
	x        *typeIndex
	provider *provider
	env      *cel.Env              // what users write
	bare     *cel.Env              // the same with macros left as calls, to read what users wrote
	lists    map[string]kinds.Kind // by plural
}

// state answers what expressions ask besides variables.
type state interface {
	get(kinds.Ref) kinds.Object
	ready(service kinds.Key) int
	restarts(pod kinds.Key) int
}

// Limits of one expression.
const (
	codeMax  = 20_000 // characters
	depthMax = 200    // of nesting
)

// timeVar is the name of the time since the start in seconds.
const timeVar = "t"

func newLanguage(s state) (*language, error) {
	x := newTypeIndex()
	l := &language{x: x, provider: &provider{x: x, unknown: map[string]*structType{}}, lists: map[string]kinds.Kind{}}
	options := []cel.EnvOption{
		cel.OptionalTypes(),
		l.types,
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(codeMax),
		cel.ParserRecursionLimit(depthMax),
		ext.Strings(),
		cel.Variable(timeVar, cel.DoubleType),
	}
	for _, i := range kinds.All() {
		if _, taken := l.lists[i.Plural]; !taken {
			l.lists[i.Plural] = i.Kind
			options = append(options, cel.Variable(i.Plural, cel.ListType(x.object(i.Kind).cel)))
		}
	}
	options = append(options, l.functions(s)...)
	options = append(options, cel.Macros(macros()...))
	var err error
	if l.env, err = cel.NewEnv(options...); err != nil {
		return nil, fmt.Errorf("make CEL's environment: %w", err)
	}
	if l.bare, err = l.env.Extend(cel.ClearMacros()); err != nil {
		return nil, fmt.Errorf("make CEL's environment: %w", err)
	}
	return l, nil
}

// types puts the cluster's types before CEL's own.
func (l *language) types(e *cel.Env) (*cel.Env, error) {
	l.provider.Provider = e.CELTypeProvider()
	e, err := cel.CustomTypeProvider(l.provider)(e)
	if err != nil {
		return nil, err
	}
	return cel.CustomTypeAdapter(l.x)(e)
}

// functions declares and binds the functions.
func (l *language) functions(s state) []cel.EnvOption {
	null := func(o kinds.Object) ref.Val {
		if o == nil {
			return types.NullValue
		}
		return l.x.NativeToValue(o)
	}
	options := []cel.EnvOption{
		unary("get", cel.StringType, cel.DynType, func(v ref.Val) ref.Val {
			return withRef(v, 0, func(r kinds.Ref) ref.Val { return null(s.get(r)) })
		}),
		unary("ready", cel.StringType, cel.IntType, func(v ref.Val) ref.Val {
			return withRef(v, kinds.Service, func(r kinds.Ref) ref.Val { return types.Int(s.ready(r.Key)) })
		}),
		unary("restarts", cel.StringType, cel.IntType, func(v ref.Val) ref.Val {
			return withRef(v, kinds.Pod, func(r kinds.Ref) ref.Val { return types.Int(s.restarts(r.Key)) })
		}),
		unary("quantity", cel.StringType, cel.DoubleType, quantity),
		cel.Function("condition", cel.Overload("condition_dyn_string", []*cel.Type{cel.DynType, cel.StringType}, cel.StringType,
			cel.BinaryBinding(l.x.condition))),
	}
	for _, i := range kinds.All() {
		options = append(options, unary(getOf(i.Kind), cel.StringType, l.x.object(i.Kind).cel, func(v ref.Val) ref.Val {
			return withRef(v, i.Kind, func(r kinds.Ref) ref.Val { return null(s.get(r)) })
		}))
	}
	return options
}

func unary(name string, arg, result *cel.Type, f func(ref.Val) ref.Val) cel.EnvOption {
	return cel.Function(name, cel.Overload(name+"_"+arg.String(), []*cel.Type{arg}, result, cel.UnaryBinding(f)))
}

// getOf is the name of the function that get("kind/…") becomes: get with the type
// of the kind. No user can write it.
func getOf(k kinds.Kind) string { return fmt.Sprintf("@get_%s_%d", k.Lower(), k) }

// macros turn calls with a literal name into what can be checked beforehand.
func macros() []cel.Macro {
	list := []cel.Macro{cel.GlobalMacro("get", 1, func(m cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
		n, err := nameOf(args[0], 0)
		if err != nil {
			return nil, m.NewError(args[0].ID(), err.Error())
		}
		if n.kind == 0 {
			return nil, nil
		}
		return m.NewCall(getOf(n.kind), args[0]), nil
	})}
	for _, f := range []struct {
		name string
		of   kinds.Kind
	}{{"ready", kinds.Service}, {"restarts", kinds.Pod}} {
		list = append(list, cel.GlobalMacro(f.name, 1, func(m cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
			if _, err := nameOf(args[0], f.of); err != nil {
				return nil, m.NewError(args[0].ID(), err.Error())
			}
			return nil, nil
		}))
	}
	return list
}

// objectName is what the text of an expression tells of an object's name.
type objectName struct {
	kind kinds.Kind // 0 if even that is only known at run time
	ref  kinds.Ref  // zero unless the whole name is written out
}

// nameOf reads a name of which everything or the beginning is written out:
// "node/a", or "node/" + p.spec.nodeName.
func nameOf(e ast.Expr, of kinds.Kind) (n objectName, err error) {
	whole := true
	for e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Add && len(e.AsCall().Args()) == 2 {
		e, whole = e.AsCall().Args()[0], false
	}
	if e.Kind() != ast.LiteralKind {
		return n, nil
	}
	s, ok := e.AsLiteral().(types.String)
	if !ok {
		return n, nil
	}
	if whole {
		n.ref, err = parseRef(string(s), of)
		n.kind = n.ref.Kind
		return n, err
	}
	word, _, ok := strings.Cut(string(s), "/")
	if !ok {
		return n, nil
	}
	n.kind, err = kindOf(word)
	if err == nil && of != 0 && n.kind != of {
		err = fmt.Errorf("%q: want %s/", string(s), of.Lower())
	}
	return n, err
}

// kindOf finds a kind by one of its names.
func kindOf(word string) (kinds.Kind, error) {
	if k, ok := kinds.ByName(word); ok {
		return k, nil
	}
	var names []string
	for _, i := range kinds.All() {
		names = append(names, i.Singular, i.Plural)
	}
	return 0, fmt.Errorf("there is no kind %q%s", word, meant(word, names))
}

// meant is the question after a name that does not exist, if there is one to ask.
func meant(word string, names []string) string {
	if near := kinds.Nearest(word, names); near != "" {
		return ", did you mean " + near + "?"
	}
	return ""
}

// parseRef reads the name of an object, of a given kind unless that is 0.
func parseRef(s string, of kinds.Kind) (kinds.Ref, error) {
	r, err := scenarios.ParseRef(s)
	if err == nil && of != 0 && r.Kind != of {
		err = fmt.Errorf("%q: want a %s, such as %s/default/web", s, of.Lower(), of.Lower())
	}
	return r, err
}

func withRef(v ref.Val, of kinds.Kind, f func(kinds.Ref) ref.Val) ref.Val {
	s, ok := v.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	r, err := parseRef(string(s), of)
	if err != nil {
		return types.WrapErr(err)
	}
	return f(r)
}

// quantity reads a Kubernetes quantity as a number: "500m" is 0.5.
func quantity(v ref.Val) ref.Val {
	s, ok := v.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	q, err := resource.ParseQuantity(string(s))
	if err != nil {
		return types.NewErr("%q is not a quantity", string(s))
	}
	return types.Double(q.AsApproximateFloat64())
}

// condition is the status of an object's condition of a type, "" if it has none.
func (x *typeIndex) condition(of, name ref.Val) ref.Val {
	o, ok := of.(*object)
	if !ok {
		if of == types.NullValue {
			return types.String("")
		}
		return types.MaybeNoSuchOverloadErr(of)
	}
	want, ok := name.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(name)
	}
	status, ok := o.fieldValue("status").(*object)
	if !ok {
		return types.NewErr("a %s has no conditions", o.typ.cel.TypeName())
	}
	conditions, ok := status.fieldValue("conditions").(*list)
	if !ok {
		return types.NewErr("a %s has no conditions", o.typ.cel.TypeName())
	}
	for i := range conditions.n {
		c, ok := x.NativeToValue(conditions.at(i)).(*object)
		if ok && c.fieldValue("type") == want {
			return c.fieldValue("status")
		}
	}
	return types.String("")
}

// fieldValue is a field by name, nil if the type does not have it.
func (o *object) fieldValue(name string) ref.Val {
	f := o.typ.field(name)
	if f == nil {
		return nil
	}
	return o.x.NativeToValue(f.get(o.ptr))
}
