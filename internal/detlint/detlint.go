package detlint

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Analyzer finds what would make two runs of one seed differ.
var Analyzer = &analysis.Analyzer{
	Name: "detlint",
	Doc:  "find what would make two runs of one seed differ: clocks, shared randomness, goroutines, map order, written package variables",
	URL:  "https://seatrial.dev/seatrial/internal/detlint",
	Run:  run,
}

// pass is one package under analysis.
type pass struct {
	*analysis.Pass
	scope
	escapes map[lineOf]*escape
	ordered []*ast.CallExpr // iterators over maps that are sorted at once
}

type lineOf struct {
	file string
	line int
}

func run(ap *analysis.Pass) (any, error) {
	p := &pass{Pass: ap, scope: scopeOf(ap.Pkg.Path()), escapes: map[lineOf]*escape{}}
	var files []*ast.File
	for _, f := range ap.Files {
		if strings.HasSuffix(ap.Fset.Position(f.FileStart).Filename, "_test.go") {
			continue
		}
		files = append(files, f)
		p.readEscapes(f)
	}
	if p.covered {
		for _, f := range files {
			p.file(f)
		}
		p.variables(files)
	}
	if p.covered || strings.HasPrefix(ap.Pkg.Path(), module) {
		p.judgeEscapes()
	}
	return nil, nil
}

// found reports a finding unless an escape is on its line.
func (p *pass) found(pos token.Pos, format string, args ...any) {
	at := p.Fset.Position(pos)
	if e := p.escapes[lineOf{at.Filename, at.Line}]; e != nil {
		e.used = true
		return
	}
	p.Reportf(pos, format, args...)
}

// file looks at everything but package variables.
func (p *pass) file(f *ast.File) {
	for _, i := range f.Imports {
		p.imported(i)
	}
	next := nextStatements(f)
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			p.used(n)
		case *ast.CallExpr:
			p.mapIterator(n)
			p.floatConversion(n)
		case *ast.RangeStmt:
			p.ranged(n, next[n])
		case *ast.BinaryExpr:
			p.floatOperation(n)
		case *ast.AssignStmt:
			p.floatAssignment(n)
		default:
			p.concurrent(n)
		}
		return true
	})
}

// concurrent finds goroutines and channels.
func (p *pass) concurrent(n ast.Node) {
	const instead = "what happens first must not depend on Go's scheduler: return an effect or a plan and let the driver carry it out"
	switch n := n.(type) {
	case *ast.GoStmt:
		p.found(n.Pos(), "a goroutine: %s", instead)
	case *ast.SelectStmt:
		p.found(n.Pos(), "select chooses at random: %s", instead)
	case *ast.ChanType:
		p.found(n.Pos(), "a channel: %s", instead)
	case *ast.SendStmt:
		p.found(n.Arrow, "a send on a channel: %s", instead)
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			p.found(n.OpPos, "a receive from a channel: %s", instead)
		}
	}
}

// ranged looks at a range statement; next is the statement after it.
func (p *pass) ranged(n *ast.RangeStmt, next ast.Stmt) {
	t := p.TypesInfo.TypeOf(n.X)
	switch {
	case isChan(t):
		p.found(n.For, "a range over a channel: keep what is to come in a slice or a queue and take it in order")
	case isMap(t) && !p.orderFree(n, next):
		p.found(n.For, "a range over map %s has no order: walk slices.Sorted(maps.Keys(%[1]s)), or say in //det:ok why the order cannot matter",
			types.ExprString(n.X))
	}
}

func isChan(t types.Type) bool {
	_, ok := t.Underlying().(*types.Chan)
	return ok
}

// isMap is true for a type parameter too if one of its types is a map.
func isMap(t types.Type) bool {
	if t == nil {
		return false
	}
	switch u := t.Underlying().(type) {
	case *types.Map:
		return true
	case *types.Interface:
		if _, ok := types.Unalias(t).(*types.TypeParam); !ok {
			return false
		}
		for i := range u.NumEmbeddeds() {
			if anyMap(u.EmbeddedType(i)) {
				return true
			}
		}
	}
	return false
}

func anyMap(t types.Type) bool {
	u, ok := t.(*types.Union)
	if !ok {
		_, ok = t.Underlying().(*types.Map)
		return ok
	}
	for i := range u.Len() {
		if _, ok := u.Term(i).Type().Underlying().(*types.Map); ok {
			return true
		}
	}
	return false
}

// nextStatements maps each range statement to the statement that follows it.
func nextStatements(f *ast.File) map[*ast.RangeStmt]ast.Stmt {
	next := map[*ast.RangeStmt]ast.Stmt{}
	ast.Inspect(f, func(n ast.Node) bool {
		var list []ast.Stmt
		switch n := n.(type) {
		case *ast.BlockStmt:
			list = n.List
		case *ast.CaseClause:
			list = n.Body
		case *ast.CommClause:
			list = n.Body
		}
		for i := 0; i+1 < len(list); i++ {
			if r, ok := list[i].(*ast.RangeStmt); ok {
				next[r] = list[i+1]
			}
		}
		return true
	})
	return next
}

// shortPos is a position as messages name it: the file's name without its folder.
func (p *pass) shortPos(pos token.Pos) string {
	at := p.Fset.Position(pos)
	return fmt.Sprintf("%s:%d", at.Filename[strings.LastIndexByte(at.Filename, '/')+1:], at.Line)
}
