package detlint

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// pointersMade are types behind a pointer that nothing changes once they are made.
var pointersMade = []string{"regexp.Regexp", "text/template.Template", "html/template.Template", "strings.Replacer", "math/big.Int"}

// sorters are functions that write to their first argument.
var sorters = []string{"slices.Sort", "slices.SortFunc", "slices.SortStableFunc", "slices.Reverse", "sort.Strings", "sort.Ints",
	"sort.Slice", "sort.SliceStable", "sort.Sort", "sort.Stable", "maps.Copy", "maps.DeleteFunc", "maps.Insert"}

// touch is what was done to a package variable and where.
type touch struct {
	what string
	pos  token.Pos
}

// variables finds package variables that are more than tables.
func (p *pass) variables(files []*ast.File) {
	v := &toucher{p: p, first: map[types.Object]touch{}}
	for _, f := range files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil || d.Name.Name != "init" {
					ast.Inspect(d, v.node)
				}
			case *ast.GenDecl:
				ast.Inspect(d, v.initialiser)
			}
		}
	}
	for _, f := range files {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
				for _, s := range g.Specs {
					for _, id := range s.(*ast.ValueSpec).Names {
						p.variable(id, v.first)
					}
				}
			}
		}
	}
}

func (p *pass) variable(id *ast.Ident, touched map[types.Object]touch) {
	const instead = "it would outlive a run: keep it in a struct that the run owns"
	obj := p.TypesInfo.Defs[id]
	if obj == nil {
		return // _
	}
	if t, ok := touched[obj]; ok {
		p.found(id.Pos(), "package variable %s %s (%s): %s", id.Name, t.what, p.shortPos(t.pos), instead)
		return
	}
	if name, bad := mutablePointer(obj.Type()); bad {
		p.found(id.Pos(), "package variable %s points to a %s, which may be written through it: %s", id.Name, name, instead)
	}
}

// mutablePointer is true for pointers, except to errors and to what is never
// changed once it is made.
func mutablePointer(t types.Type) (name string, bad bool) {
	ptr, ok := t.Underlying().(*types.Pointer)
	if !ok || types.Implements(t, errorType) {
		return "", false
	}
	elem := types.Unalias(ptr.Elem())
	name = types.TypeString(elem, nil)
	return shortName(name), !slices.Contains(pointersMade, name)
}

var errorType = types.Universe.Lookup("error").Type().Underlying().(*types.Interface)

// toucher notes the first write to, or pointer into, each package variable.
type toucher struct {
	p     *pass
	first map[types.Object]touch
}

// initialiser walks a declaration: a function that is called there and then may
// write, one that is kept may not.
func (v *toucher) initialiser(n ast.Node) bool {
	if call, ok := n.(*ast.CallExpr); ok {
		if f, ok := ast.Unparen(call.Fun).(*ast.FuncLit); ok {
			for _, a := range call.Args {
				ast.Inspect(a, v.initialiser)
			}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if f, ok := n.(*ast.FuncLit); ok {
					ast.Inspect(f, v.node)
					return false
				}
				return true
			})
			return false
		}
	}
	if f, ok := n.(*ast.FuncLit); ok {
		ast.Inspect(f, v.node)
		return false
	}
	return true
}

func (v *toucher) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			for _, x := range n.Lhs {
				v.touches(x, "is written")
			}
		}
	case *ast.IncDecStmt:
		v.touches(n.X, "is written")
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			v.touches(n.Key, "is written")
			v.touches(n.Value, "is written")
		}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			v.touches(n.X, "has its address taken")
		}
	case *ast.CallExpr:
		v.call(n)
	}
	return true
}

func (v *toucher) call(n *ast.CallExpr) {
	if len(n.Args) > 0 && v.writesFirst(n) {
		v.touches(n.Args[0], "is written")
	}
	s, ok := ast.Unparen(n.Fun).(*ast.SelectorExpr)
	if !ok {
		return
	}
	sel := v.p.TypesInfo.Selections[s]
	if sel == nil || sel.Kind() != types.MethodVal {
		return
	}
	f, ok := sel.Obj().(*types.Func)
	if !ok {
		return
	}
	_, byPointer := f.Signature().Recv().Type().Underlying().(*types.Pointer)
	if _, isPointer := v.p.TypesInfo.TypeOf(s.X).Underlying().(*types.Pointer); byPointer && !isPointer {
		v.touches(s.X, "has a method called that may write")
	}
}

func (v *toucher) writesFirst(n *ast.CallExpr) bool {
	if id, ok := ast.Unparen(n.Fun).(*ast.Ident); ok {
		if b, ok := v.p.TypesInfo.Uses[id].(*types.Builtin); ok {
			switch b.Name() {
			case "delete", "clear", "copy", "append":
				return true
			}
		}
	}
	f := v.p.callee(n)
	return f != nil && f.Pkg() != nil && slices.Contains(sorters, nameOf(f))
}

// touches notes that something was done to what x is a part of.
func (v *toucher) touches(x ast.Expr, what string) {
	id := rootIdent(x, v.p.TypesInfo)
	if id == nil {
		return
	}
	obj, ok := v.p.TypesInfo.Uses[id].(*types.Var)
	if !ok || obj.IsField() || obj.Pkg() == nil || obj.Parent() != obj.Pkg().Scope() {
		return
	}
	if obj.Pkg() != v.p.Pkg {
		if strings.HasPrefix(obj.Pkg().Path(), module) || what == "is written" {
			v.p.found(id.Pos(), "%s, a package variable of %s, %s: every run of the process would see it", obj.Name(), obj.Pkg().Path(), what)
		}
		return
	}
	if _, ok := v.first[obj]; !ok {
		v.first[obj] = touch{what, x.Pos()}
	}
}

// rootIdent is the name at the root of v, v.f, v[i], *v and the like.
func rootIdent(x ast.Expr, info *types.Info) *ast.Ident {
	switch x := x.(type) {
	case *ast.Ident:
		return x
	case *ast.ParenExpr:
		return rootIdent(x.X, info)
	case *ast.SelectorExpr:
		if info.Selections[x] == nil {
			return x.Sel // package.Variable
		}
		return rootIdent(x.X, info)
	case *ast.IndexExpr:
		return rootIdent(x.X, info)
	case *ast.SliceExpr:
		return rootIdent(x.X, info)
	case *ast.StarExpr:
		return rootIdent(x.X, info)
	}
	return nil
}
