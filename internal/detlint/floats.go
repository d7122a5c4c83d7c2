package detlint

import (
	"go/ast"
	"go/token"
	"go/types"
)

const insteadFloat = "count in integers of the smallest unit (milli-CPUs, bytes, nanoseconds); processors differ in how they round"

// isFloat is true for what is computed with floating point at run time; constants
// are computed by the compiler, exactly.
func (p *pass) isFloat(e ast.Expr) bool {
	tv := p.TypesInfo.Types[e]
	if tv.Type == nil || tv.Value != nil {
		return false
	}
	b, ok := tv.Type.Underlying().(*types.Basic)
	return ok && b.Info()&(types.IsFloat|types.IsComplex) != 0
}

func (p *pass) floatOperation(n *ast.BinaryExpr) {
	if p.deciding && (p.isFloat(n.X) || p.isFloat(n.Y)) {
		p.found(n.OpPos, "floating point in a decision: %s", insteadFloat)
	}
}

func (p *pass) floatAssignment(n *ast.AssignStmt) {
	if p.deciding && n.Tok != token.ASSIGN && n.Tok != token.DEFINE && p.isFloat(n.Lhs[0]) {
		p.found(n.TokPos, "floating point in a decision: %s", insteadFloat)
	}
}

// floatConversion finds conversions to and from floating point.
func (p *pass) floatConversion(n *ast.CallExpr) {
	if !p.deciding || len(n.Args) != 1 || !p.TypesInfo.Types[n.Fun].IsType() {
		return
	}
	if p.isFloat(n) || p.isFloat(n.Args[0]) {
		p.found(n.Pos(), "a conversion of floating point in a decision: %s", insteadFloat)
	}
}
