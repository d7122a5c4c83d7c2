package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	module   = "seatrial.dev/seatrial"
	root     = "../.."
	linesMax = 1000 // of one Go file
)

// core is what runs in both worlds.
var core = []string{"cluster/kinds", "cluster/store", "cluster/view", "cluster/api", "sched", "ctrl", "nodeagent"}

// importRule says that no package of from may reach one of to, directly or by
// other packages of the module, unless the importer is one of except.
type importRule struct {
	from, to, except []string
	instead          string
}

var everything = []string{"."}

var importRules = []importRule{
	{
		from: core, to: []string{"sim", "live", "netsim"},
		instead: "the core knows no world: take what it needs as an argument, and ask the world by an effect or a plan",
	},
	{
		from: core, to: []string{"scenarios", "cluster/apiserver", "cmd", "bench"},
		instead: "the core is below this package: move what both need into cluster/kinds, or hand it over as an argument",
	},
	{
		from: []string{"sim"}, to: []string{"live"},
		instead: "the worlds meet only in the core: move what both need there",
	},
	{
		from: []string{"live"}, to: []string{"sim", "netsim"},
		instead: "the worlds meet only in the core: move what both need there",
	},
	{
		from: []string{"scenarios"}, to: []string{"sim", "live"},
		instead: "a scenario runs in either world: add what it needs to scenarios.Target or scenarios.Judge",
	},
	{
		from: everything, to: []string{"sim", "live"}, except: []string{"sim", "live", "cmd", "bench", "conformance", "e2e/real"},
		instead: "only cmd, and what measures or judges a whole world, chooses one: take an interface or a value",
	},
	{
		from: []string{"sched"}, to: []string{"ctrl", "nodeagent"},
		instead: "deciders meet only through objects: put the shared function beside the object, in cluster/kinds or cluster/view",
	},
	{
		from: []string{"ctrl"}, to: []string{"sched", "nodeagent"},
		instead: "deciders meet only through objects: put the shared function beside the object, in cluster/kinds or cluster/view",
	},
	{
		from: []string{"nodeagent"}, to: []string{"sched", "ctrl"},
		instead: "deciders meet only through objects: put the shared function beside the object, in cluster/kinds or cluster/view",
	},
}

// Below ctrl, each package is a controller except these.
var (
	ctrlShared = []string{"ctrl/ownership", "ctrl/podset", "ctrl/backend", "ctrl/revision"}
	ctrlWhole  = []string{"ctrl/all"}      // names all controllers
	ctrlTests  = []string{"ctrl/ctrltest"} // for tests only
)

// coreBans are packages that the core may not import, by path and below, with
// exceptions.
var coreBans = []struct {
	path    string
	except  []string
	instead string
}{
	{"net", []string{"net/netip", "net/url"}, "addresses are net/netip values; a world opens the sockets"},
	{"os", nil, "a world reads files and the environment: take their content as an argument"},
	{"syscall", nil, "a world calls the operating system: answer an effect"},
	{"log", nil, "return an error, or record an event for people to see"},
	{"sync", nil, "one goroutine runs the core: there is nothing to lock"},
	{"context", nil, "the core does not wait, so there is nothing to cancel: a deadline is a value in a plan or an effect"},
	{"k8s.io/client-go", nil, "read from cluster/view and write by a plan; a world carries the requests"},
	{"k8s.io/klog", nil, "return an error, or record an event for people to see"},
}

// namesBanned are names of packages that say nothing.
var namesBanned = []string{"util", "utils", "common", "helper", "helpers", "types", "manager", "base", "misc", "shared", "lib"}

// pkg is what `go list` says of a package, with paths below the module's.
type pkg struct {
	ImportPath, Dir, Doc, Name         string
	Imports, TestImports, XTestImports []string
	GoFiles                            []string
}

func listPackages(t *testing.T) []pkg {
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,Name,Imports,TestImports,XTestImports,GoFiles", "./...")
	cmd.Dir = root
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	require.NoError(t, err, problem.String())
	var list []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = below(p.ImportPath)
		for _, imports := range []*[]string{&p.Imports, &p.TestImports, &p.XTestImports} {
			for i, path := range *imports {
				(*imports)[i] = below(path)
			}
		}
		list = append(list, p)
	}
}

// below takes the module's path off, and leaves "./" to tell a package of the
// module from one of the standard library.
func below(path string) string {
	if path == module {
		return "."
	}
	if rel, ok := strings.CutPrefix(path, module+"/"); ok {
		return "./" + rel
	}
	return path
}

// in says whether a package of the module is one of the folders or below one.
func in(path string, folders []string) bool {
	rel, ok := strings.CutPrefix(path, "./")
	if !ok {
		return false
	}
	return slices.ContainsFunc(folders, func(f string) bool {
		return f == "." || rel == f || strings.HasPrefix(rel, f+"/")
	})
}

func report(t *testing.T, broken []string) {
	t.Helper()
	for _, b := range broken {
		t.Error(b)
	}
}

func TestImports(t *testing.T) {
	list := listPackages(t)
	require.Greater(t, len(list), 20, "go list found too little")
	report(t, brokenImports(list))
	report(t, brokenControllers(list))
	report(t, brokenCore(list))
}

// brokenImports checks importRules over all paths of imports within the module.
func brokenImports(list []pkg) (out []string) {
	imports := map[string][]string{}
	for _, p := range list {
		imports[p.ImportPath] = p.Imports
	}
	for _, p := range list {
		tests := append(slices.Clone(p.TestImports), p.XTestImports...)
		for _, r := range importRules {
			if !in(p.ImportPath, r.from) || in(p.ImportPath, r.except) {
				continue
			}
			way := wayTo(p.ImportPath, p.Imports, r, imports)
			if way == nil {
				way = wayTo(p.ImportPath, tests, r, imports)
			}
			if way != nil {
				out = append(out, fmt.Sprintf("%s must not import %s: %s", strings.Join(way[:len(way)-1], ", by way of "), way[len(way)-1], r.instead))
			}
		}
	}
	return out
}

// wayTo is the shortest way of imports from a package to one that a rule forbids;
// nil if there is none.
func wayTo(from string, first []string, r importRule, imports map[string][]string) []string {
	came := map[string]string{}
	queue := []string{}
	visit := func(by string, list []string) {
		for _, i := range list {
			if _, seen := came[i]; !seen && i != from && in(i, everything) {
				came[i] = by
				queue = append(queue, i)
			}
		}
	}
	visit(from, first)
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		if in(p, r.to) {
			way := []string{p}
			for p != from {
				p = came[p]
				way = append([]string{p}, way...)
			}
			return way
		}
		visit(p, imports[p])
	}
	return nil
}

// brokenControllers keeps controllers from knowing each other.
func brokenControllers(list []pkg) (out []string) {
	isController := func(path string) bool {
		return in(path, []string{"ctrl"}) && path != "./ctrl" && !in(path, ctrlShared) && !in(path, ctrlWhole) && !in(path, ctrlTests)
	}
	for _, p := range list {
		if !in(p.ImportPath, []string{"ctrl"}) || in(p.ImportPath, ctrlWhole) {
			continue
		}
		for _, i := range p.Imports {
			switch {
			case isController(i) && i != p.ImportPath && !strings.HasPrefix(i, p.ImportPath+"/"):
				out = append(out, fmt.Sprintf("%s must not import the controller %s: controllers meet through objects; what several need goes into %s",
					p.ImportPath, i, strings.Join(ctrlShared, ", ")))
			case in(i, ctrlTests) && !in(p.ImportPath, ctrlTests):
				out = append(out, fmt.Sprintf("%s must not import %s outside of tests", p.ImportPath, i))
			}
		}
	}
	return out
}

// brokenCore keeps the operating system out of the core.
func brokenCore(list []pkg) (out []string) {
	for _, p := range list {
		if !in(p.ImportPath, core) {
			continue
		}
		for _, i := range p.Imports {
			for _, b := range coreBans {
				if (i == b.path || strings.HasPrefix(i, b.path+"/")) && !slices.Contains(b.except, i) {
					out = append(out, fmt.Sprintf("%s is of the core and must not import %s: %s", p.ImportPath, i, b.instead))
				}
			}
		}
	}
	return out
}

func TestPackagesAreNamedAndDescribed(t *testing.T) { report(t, brokenPackages(listPackages(t))) }

func brokenPackages(list []pkg) (out []string) {
	for _, p := range list {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			out = append(out, fmt.Sprintf("%s has no package comment: add a doc.go that says what it is, what it is not and who calls it", p.ImportPath))
		}
		for _, name := range []string{p.Name, path.Base(p.ImportPath)} {
			if slices.Contains(namesBanned, name) {
				out = append(out, fmt.Sprintf("%s: a package named %s says nothing: name it for what it holds, or for what it drives", p.ImportPath, name))
				break
			}
		}
	}
	return out
}

func TestFilesAreShortAndTestsDoNotSleep(t *testing.T) {
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(file, d)
		}
		if filepath.Ext(file) != ".go" {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		report(t, brokenFile(strings.TrimPrefix(filepath.ToSlash(file), root+"/"), text))
		return nil
	})
	require.NoError(t, err)
}

// TestMergesAreWhole reads every file, as most are not compiled.
func TestMergesAreWhole(t *testing.T) {
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); file != root && (n == ".git" || n == "bin" || n == "out") {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(file)
		report(t, halfMerged(file, text))
		return err
	})
	require.NoError(t, err)
}

func halfMerged(file string, text []byte) (out []string) {
	for i, line := range bytes.Split(text, []byte("\n")) {
		for _, mark := range []string{"<", ">"} {
			if bytes.HasPrefix(line, []byte(strings.Repeat(mark, 7)+" ")) {
				out = append(out, fmt.Sprintf("%s:%d is the mark of a merge with a conflict: choose what stays and delete the mark", file, i+1))
			}
		}
	}
	return out
}

// enter skips folders that hold no code of ours and modules of their own.
func enter(dir string, d fs.DirEntry) error {
	if dir == root {
		return nil
	}
	if n := d.Name(); n == "testdata" || n == "node_modules" || strings.HasPrefix(n, ".") {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func brokenFile(file string, text []byte) (out []string) {
	f, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	if n := bytes.Count(text, []byte("\n")); n > linesMax && !ast.IsGenerated(f) {
		out = append(out, fmt.Sprintf("%s has %d lines, at most %d are allowed: look for the two things in it and give each a file", file, n, linesMax))
	}
	if strings.HasSuffix(file, "_test.go") && sleeps(f) {
		out = append(out, fmt.Sprintf("%s calls time.Sleep: use testing/synctest, or wait for an event with a deadline", file))
	}
	return out
}

// sleeps looks for time.Sleep, by whatever name the file imports time.
func sleeps(f *ast.File) (found bool) {
	name := ""
	for _, i := range f.Imports {
		if i.Path.Value == `"time"` {
			if name = "time"; i.Name != nil {
				name = i.Name.Name
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
			x, ok := s.X.(*ast.Ident)
			found = found || ok && name != "" && x.Name == name
		}
		return true
	})
	return found
}

// TestDocsNameWhatIsThere looks for each path in backquotes of ARCHITECTURE.md and the
// ADRs that has a slash and is no address of another module.
func TestDocsNameWhatIsThere(t *testing.T) {
	files, err := filepath.Glob(root + "/docs/adr/*.md")
	require.NoError(t, err)
	for _, file := range append(files, root+"/docs/ARCHITECTURE.md") {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		report(t, missingPaths(filepath.Base(file), string(text)))
	}
}

// toCome are folders of the design that documents may name before they are there.
var toCome = []string{"live/"}

func missingPaths(doc, text string) (out []string) {
	for i, quoted := range strings.Split(text, "`") {
		first, _, _ := strings.Cut(quoted, "/")
		if i%2 == 0 || !strings.Contains(quoted, "/") || strings.ContainsAny(quoted, " \n{<") || first == "" || strings.Contains(first, ".") || slices.Contains(toCome, quoted) {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, quoted)); err != nil {
			out = append(out, fmt.Sprintf("docs: %s names %s, which is not there: name where it is now", doc, quoted))
		}
	}
	return out
}

// TestRulesFindWhatTheyForbid holds the rules against a module that breaks them.
func TestRulesFindWhatTheyForbid(t *testing.T) {
	list := []pkg{
		{ImportPath: "./ctrl/job", Doc: "x", GoFiles: []string{"a.go"}, Imports: []string{"./internal/draw", "./ctrl/cronjob", "./ctrl/podset", "net", "net/netip", "net/http"}},
		{ImportPath: "./internal/draw", Imports: []string{"./sim/world", "sync"}},
		{ImportPath: "./sim/world", Imports: []string{"./live/agent", "./nodeagent"}},
		{ImportPath: "./live/agent"},
		{ImportPath: "./sched/filter", XTestImports: []string{"./ctrl"}},
		{ImportPath: "./cmd/seatrial", Imports: []string{"./sim/world", "./live/agent"}},
		{ImportPath: "./ctrl/all", Imports: []string{"./ctrl/cronjob"}},
		{ImportPath: "./ctrl/cronjob", Imports: []string{"./ctrl/ctrltest"}},
		{ImportPath: "./scenarios/util", Name: "util", GoFiles: []string{"a.go"}},
	}
	var got []string
	for _, b := range slices.Concat(brokenImports(list), brokenControllers(list), brokenCore(list), brokenPackages(list)) {
		got = append(got, strings.SplitN(b, ": ", 2)[0])
	}
	require.Equal(t, []string{
		"./ctrl/job, by way of ./internal/draw must not import ./sim/world",
		"./ctrl/job, by way of ./internal/draw must not import ./sim/world",
		"./ctrl/job, by way of ./internal/draw, by way of ./sim/world must not import ./nodeagent",
		"./internal/draw must not import ./sim/world",
		"./sim/world must not import ./live/agent",
		"./sched/filter must not import ./ctrl",
		"./ctrl/job must not import the controller ./ctrl/cronjob",
		"./ctrl/cronjob must not import ./ctrl/ctrltest outside of tests",
		"./ctrl/job is of the core and must not import net",
		"./ctrl/job is of the core and must not import net/http",
		"./scenarios/util has no package comment",
		"./scenarios/util",
	}, got)

	require.Len(t, missingPaths("x.md", "in `nowhere/a.go`, not in `ctrl/doc.go`, `k8s.io/api` or `a/b c`"), 1)

	require.Len(t, halfMerged("x.md", []byte("a\n"+strings.Repeat("<", 7)+" HEAD\nb\n=======\nc\n"+strings.Repeat(">", 7)+" main\n")), 2)

	long := "package x\n" + strings.Repeat("\n", linesMax)
	require.Len(t, brokenFile("x.go", []byte(long)), 1)
	require.Len(t, brokenFile("x_test.go", []byte("package x\n\nimport t \"time\"\n\nvar wait = t.Sleep\n")), 1)
	require.Empty(t, brokenFile("x.go", []byte("package x\n\nimport \"time\"\n\nvar wait = time.Sleep\n")))
}
