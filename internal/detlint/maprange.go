package detlint

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// purePackages are packages all of whose functions (not methods) depend on nothing
// but their arguments and change nothing.
var purePackages = []string{"cmp", "path", "strconv", "strings", "unicode", "unicode/utf8"}

// loop is a range over a map whose body is being judged.
type loop struct {
	p        *pass
	key      types.Object // nil if no key is taken
	sorted   types.Object // the slice that the next statement sorts; nil if none
	byFunc   bool         // it is sorted by a function, so only keys may be in it
	written  map[types.Object]bool
	constant map[string]string // what a variable is set to, by their texts
	counted  map[string]bool   // variables that are added to
	returned string            // the text of the results of its returns
	returns  bool
	reads    []ast.Expr // must not look at what is written
}

// orderFree says whether a walk over a map gives the same result in every order of
// its keys. It knows a few shapes (see the package comment) and says no to others.
func (p *pass) orderFree(n *ast.RangeStmt, next ast.Stmt) bool {
	if n.Key == nil && n.Value == nil {
		return true
	}
	if n.Tok != token.DEFINE {
		return false // the last key would be left in the variable
	}
	l := &loop{p: p, written: map[types.Object]bool{}, constant: map[string]string{}, counted: map[string]bool{}}
	if id, ok := n.Key.(*ast.Ident); ok && id.Name != "_" {
		l.key = p.TypesInfo.Defs[id]
	}
	l.sorted, l.byFunc = p.sortedBy(next)
	if !l.block(n.Body.List) {
		return false
	}
	if l.returns && len(l.written) > 0 {
		return false
	}
	for name := range l.constant {
		if l.counted[name] {
			return false
		}
	}
	return !slices.ContainsFunc(l.reads, l.looksAtWritten)
}

func (l *loop) block(list []ast.Stmt) bool {
	for _, s := range list {
		if !l.statement(s) {
			return false
		}
	}
	return true
}

func (l *loop) statement(s ast.Stmt) bool {
	switch s := s.(type) {
	case nil:
		return true
	case *ast.EmptyStmt:
		return true
	case *ast.BlockStmt:
		return l.block(s.List)
	case *ast.BranchStmt:
		return s.Tok == token.CONTINUE && s.Label == nil
	case *ast.IfStmt:
		return l.statement(s.Init) && l.pure(s.Cond) && l.statement(s.Body) && l.statement(s.Else)
	case *ast.ReturnStmt:
		return l.returnsConstants(s)
	case *ast.IncDecStmt:
		return l.counts(s.X)
	case *ast.AssignStmt:
		return l.assignment(s)
	case *ast.ExprStmt:
		return l.deletes(s.X)
	}
	return false
}

func (l *loop) returnsConstants(s *ast.ReturnStmt) bool {
	text := ""
	for _, r := range s.Results {
		if !l.isConstant(r) {
			return false
		}
		text += types.ExprString(r) + ","
	}
	if l.returns && l.returned != text {
		return false
	}
	l.returns, l.returned = true, text
	return true
}

func (l *loop) isConstant(e ast.Expr) bool {
	tv := l.p.TypesInfo.Types[e]
	return tv.Value != nil || tv.IsNil()
}

// counts takes a variable that is added to: integers have the same sum in every
// order.
func (l *loop) counts(x ast.Expr) bool {
	b, ok := l.p.TypesInfo.TypeOf(x).Underlying().(*types.Basic)
	if !ok || b.Info()&types.IsInteger == 0 || !l.write(x) {
		return false
	}
	l.counted[types.ExprString(x)] = true
	return true
}

// write notes a variable or a field as written; no pointer may be on the way that
// depends on the key.
func (l *loop) write(x ast.Expr) bool {
	root, ok := l.plainRoot(x)
	if ok {
		l.written[root] = true
	}
	return ok
}

// plainRoot is the variable at the root of v or v.f.g.
func (l *loop) plainRoot(x ast.Expr) (types.Object, bool) {
	switch x := ast.Unparen(x).(type) {
	case *ast.Ident:
		obj, ok := l.p.TypesInfo.ObjectOf(x).(*types.Var)
		return obj, ok
	case *ast.SelectorExpr:
		if sel := l.p.TypesInfo.Selections[x]; sel != nil && sel.Kind() == types.FieldVal {
			return l.plainRoot(x.X)
		}
	}
	return nil, false
}

func (l *loop) assignment(s *ast.AssignStmt) bool {
	switch s.Tok {
	case token.DEFINE:
		for _, e := range s.Rhs {
			if !l.pure(e) {
				return false
			}
		}
		return true
	case token.ADD_ASSIGN, token.SUB_ASSIGN, token.OR_ASSIGN, token.AND_ASSIGN, token.XOR_ASSIGN:
		// Two of these on one variable would not commute with each other.
		name := types.ExprString(s.Lhs[0])
		if l.counted[name] {
			return false
		}
		return l.pure(s.Rhs[0]) && l.counts(s.Lhs[0])
	case token.ASSIGN:
		return len(s.Lhs) == 1 && len(s.Rhs) == 1 && (l.setsByKey(s.Lhs[0], s.Rhs[0]) || l.collects(s.Lhs[0], s.Rhs[0]) || l.setsConstant(s.Lhs[0], s.Rhs[0]))
	}
	return false
}

// setsByKey is m[key] = value: each turn of the loop has a place of its own.
func (l *loop) setsByKey(lhs, rhs ast.Expr) bool {
	x, ok := ast.Unparen(lhs).(*ast.IndexExpr)
	if !ok || !isMap(l.p.TypesInfo.TypeOf(x.X)) || !l.isKey(x.Index) || !l.pure(rhs) {
		return false
	}
	return l.write(x.X)
}

// isKey is the key of the loop, perhaps as another type of the same form.
func (l *loop) isKey(e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return l.key != nil && l.p.TypesInfo.Uses[e] == l.key
	case *ast.CallExpr:
		return len(e.Args) == 1 && l.p.TypesInfo.Types[e.Fun].IsType() && l.isKey(e.Args[0]) &&
			types.Identical(l.p.TypesInfo.TypeOf(e).Underlying(), l.p.TypesInfo.TypeOf(e.Args[0]).Underlying())
	}
	return false
}

// collects is s = append(s, key), where s is sorted after the loop.
func (l *loop) collects(lhs, rhs ast.Expr) bool {
	id, ok := ast.Unparen(lhs).(*ast.Ident)
	call, isCall := ast.Unparen(rhs).(*ast.CallExpr)
	if !ok || !isCall || l.sorted == nil || l.p.TypesInfo.Uses[id] != l.sorted || !l.isBuiltin(call, "append") || call.Ellipsis.IsValid() {
		return false
	}
	first, ok := ast.Unparen(call.Args[0]).(*ast.Ident)
	if !ok || l.p.TypesInfo.Uses[first] != l.sorted {
		return false
	}
	for _, e := range call.Args[1:] {
		if !l.isKey(e) && (l.byFunc || !l.pure(e)) {
			return false
		}
	}
	l.written[l.sorted] = true
	return true
}

// setsConstant is v = constant, always the same one.
func (l *loop) setsConstant(lhs, rhs ast.Expr) bool {
	name, value := types.ExprString(lhs), types.ExprString(rhs)
	if was, ok := l.constant[name]; ok && was != value || !l.isConstant(rhs) || !l.write(lhs) {
		return false
	}
	l.constant[name] = value
	return true
}

// deletes is delete(m, key).
func (l *loop) deletes(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	return ok && l.isBuiltin(call, "delete") && l.isKey(call.Args[1]) && l.write(call.Args[0])
}

func (l *loop) isBuiltin(call *ast.CallExpr, names ...string) bool {
	id, ok := ast.Unparen(call.Fun).(*ast.Ident)
	if !ok {
		return false
	}
	b, ok := l.p.TypesInfo.Uses[id].(*types.Builtin)
	return ok && slices.Contains(names, b.Name())
}

// pure says whether an expression changes nothing and depends on nothing hidden,
// and notes it as one that must not look at what the loop writes.
func (l *loop) pure(e ast.Expr) bool {
	ok := true
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			ok = ok && l.pureCall(n)
		case *ast.UnaryExpr:
			ok = ok && n.Op != token.AND && n.Op != token.ARROW
		case *ast.FuncLit:
			ok = false
		}
		return ok
	})
	if ok {
		l.reads = append(l.reads, e)
	}
	return ok
}

func (l *loop) pureCall(n *ast.CallExpr) bool {
	if l.p.TypesInfo.Types[n.Fun].IsType() || l.isBuiltin(n, "len", "cap", "min", "max") {
		return true
	}
	f := l.p.callee(n)
	return f != nil && f.Pkg() != nil && f.Signature().Recv() == nil && slices.Contains(purePackages, f.Pkg().Path())
}

func (l *loop) looksAtWritten(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && l.written[l.p.TypesInfo.Uses[id]] {
			found = true
		}
		return !found
	})
	return found
}

// callee is the function that a call names, or nil.
func (p *pass) callee(n *ast.CallExpr) *types.Func {
	fun := ast.Unparen(n.Fun)
	switch x := fun.(type) {
	case *ast.IndexExpr:
		fun = x.X
	case *ast.IndexListExpr:
		fun = x.X
	}
	switch x := fun.(type) {
	case *ast.Ident:
		f, _ := p.TypesInfo.Uses[x].(*types.Func)
		return f
	case *ast.SelectorExpr:
		f, _ := p.TypesInfo.Uses[x.Sel].(*types.Func)
		return f
	}
	return nil
}

// sortedBy is the slice that a statement sorts wholly, and whether it does so by a
// function, which then is one named Compare.
func (p *pass) sortedBy(s ast.Stmt) (slice types.Object, byFunc bool) {
	x, ok := s.(*ast.ExprStmt)
	if !ok {
		return nil, false
	}
	call, ok := x.X.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return nil, false
	}
	f := p.callee(call)
	if f == nil || f.Pkg() == nil {
		return nil, false
	}
	switch nameOf(f) {
	case "slices.Sort", "sort.Strings", "sort.Ints":
	case "slices.SortFunc":
		if byFunc = true; !isCompare(call.Args[1]) {
			return nil, false
		}
	default:
		return nil, false
	}
	if id, ok := ast.Unparen(call.Args[0]).(*ast.Ident); ok {
		return p.TypesInfo.Uses[id], byFunc
	}
	return nil, false
}

// isCompare is true for pkg.Compare and Type.Compare, which by their name order
// everything.
func isCompare(e ast.Expr) bool {
	s, ok := ast.Unparen(e).(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Compare"
}

// mapIterator finds the iterators of package maps other than as arguments of what
// brings an order in or needs none. It is called for every call, outermost first.
func (p *pass) mapIterator(n *ast.CallExpr) {
	f := p.callee(n)
	if f == nil || f.Pkg() == nil {
		return
	}
	for i, a := range n.Args {
		inner, ok := ast.Unparen(a).(*ast.CallExpr)
		if !ok || !p.isMapIterator(inner) {
			continue
		}
		switch name := nameOf(f); {
		case i == 0 && (name == "slices.Sorted" || name == "maps.Collect"):
		case i == 0 && name == "slices.SortedFunc" && isCompare(n.Args[1]):
		case i == 1 && name == "maps.Insert":
		default:
			continue
		}
		p.ordered = append(p.ordered, inner)
	}
	if p.isMapIterator(n) && !slices.Contains(p.ordered, n) {
		p.found(n.Pos(), "maps.%s has no order: wrap it in slices.Sorted, or in slices.SortedFunc with a function named Compare", f.Name())
	}
}

func (p *pass) isMapIterator(n *ast.CallExpr) bool {
	f := p.callee(n)
	if f == nil || f.Pkg() == nil {
		return false
	}
	name := nameOf(f)
	return name == "maps.Keys" || name == "maps.Values" || name == "maps.All"
}
