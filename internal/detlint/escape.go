package detlint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// marker begins a comment that silences the findings of its line.
const marker = "//det:ok"

// wordsMin is how many words a reason has at least.
const wordsMin = 3

// escape is one such comment.
type escape struct {
	pos    token.Pos
	reason string
	used   bool
}

// readEscape reads a comment; ok is false if it is no escape.
func readEscape(c *ast.Comment) (e *escape, ok bool) {
	rest, ok := strings.CutPrefix(c.Text, marker)
	if !ok || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return nil, false
	}
	reason, _, _ := strings.Cut(rest, "// want ") // of the tests of this package
	return &escape{pos: c.Pos(), reason: strings.TrimSpace(reason)}, true
}

func (p *pass) readEscapes(f *ast.File) {
	for _, g := range f.Comments {
		for _, c := range g.List {
			if e, ok := readEscape(c); ok {
				at := p.Fset.Position(c.Pos())
				p.escapes[lineOf{at.Filename, at.Line}] = e
			}
		}
	}
}

// judgeEscapes finds those without a reason and those that silence nothing.
func (p *pass) judgeEscapes() {
	for _, e := range slices.SortedFunc(maps.Values(p.escapes), func(a, b *escape) int { return int(a.pos - b.pos) }) {
		switch {
		case !p.covered:
			p.Reportf(e.pos, "this package is not covered by detlint (see scope.go): take the //det:ok away")
		case !e.used:
			p.Reportf(e.pos, "//det:ok silences nothing here: take it away")
		case len(strings.Fields(e.reason)) < wordsMin:
			p.Reportf(e.pos, "//det:ok wants a reason of %d words or more: say why this cannot make two runs differ", wordsMin)
		}
	}
}

// PackageEscapes is how many escapes one package has.
type PackageEscapes struct {
	Package string // import path below the module's
	Count   int
}

// CountEscapes counts the escapes of the covered packages below a folder, which is
// the module's root, in the order of their paths. Packages without any are left
// out.
func CountEscapes(root string) ([]PackageEscapes, error) {
	count := map[string]int{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); file != root && (n == "testdata" || n[0] == '.' || n[0] == '_') {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		if !scopeOf(path.Join(module, pkg)).covered {
			return nil
		}
		n, err := countFile(file)
		count[pkg] += n
		return err
	})
	var out []PackageEscapes
	for _, pkg := range slices.Sorted(maps.Keys(count)) {
		if count[pkg] > 0 {
			out = append(out, PackageEscapes{pkg, count[pkg]})
		}
	}
	return out, err
}

func countFile(file string) (int, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, g := range f.Comments {
		for _, c := range g.List {
			if _, ok := readEscape(c); ok {
				n++
			}
		}
	}
	return n, nil
}
