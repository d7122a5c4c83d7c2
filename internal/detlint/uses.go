package detlint

import (
	"go/ast"
	"go/types"
	"slices"
	"strconv"
	"strings"
)

// What messages advise.
const (
	insteadNow    = "take now as an argument: the driver knows the time"
	insteadWait   = "return when to look again (Plan.Again, WakeAt) and let the driver wake you"
	insteadRand   = "take a *rand.Rand of math/rand/v2 that is named for its purpose (Engine.Stream)"
	insteadSync   = "one goroutine runs a world, so there is nothing to lock"
	insteadSorted = "sort what it returns, or walk a sorted slice"
)

// bannedImports are packages that may not be used at all, with what to do instead.
var bannedImports = map[string]string{
	"crypto/rand":                       insteadRand,
	"hash/maphash":                      "use sim.HashString or hash/fnv, whose results are the same in every process",
	"sync":                              insteadSync,
	"sync/atomic":                       insteadSync,
	"github.com/google/uuid":            insteadRand,
	"k8s.io/apimachinery/pkg/util/rand": insteadRand,
	"k8s.io/apimachinery/pkg/util/uuid": "UIDs are minted by cluster/api from its own stream",
	"k8s.io/apimachinery/pkg/util/wait": insteadWait,
	"k8s.io/utils/clock":                insteadNow,
}

// bannedNames are functions and methods that may not be used, by package path and
// name; a method is "Type.Method".
var bannedNames = map[string]string{
	"time.Now":       insteadNow,
	"time.Since":     insteadNow,
	"time.Until":     insteadNow,
	"time.After":     insteadWait,
	"time.AfterFunc": insteadWait,
	"time.Tick":      insteadWait,
	"time.NewTimer":  insteadWait,
	"time.NewTicker": insteadWait,
	"time.Sleep":     insteadWait,

	"reflect.Value.MapKeys":  insteadSorted,
	"reflect.Value.MapRange": insteadSorted,

	"runtime.NumCPU":       "a result must not depend on the machine",
	"runtime.GOMAXPROCS":   "a result must not depend on the machine",
	"runtime.NumGoroutine": "a result must not depend on the machine",

	"k8s.io/apimachinery/pkg/apis/meta/v1.Now":               insteadNow + ", as in metav1.NewTime(now)",
	"k8s.io/apimachinery/pkg/apis/meta/v1.NowMicro":          insteadNow + ", as in metav1.NewMicroTime(now)",
	"k8s.io/apimachinery/pkg/api/meta.SetStatusCondition":    "it reads the wall clock; set the condition with LastTransitionTime from now",
	"k8s.io/apimachinery/pkg/api/meta.RemoveStatusCondition": "set the conditions yourself, beside those that you set with now",
	"k8s.io/apimachinery/pkg/util/sets.Set.UnsortedList":     "use sets.List, which sorts",
	"k8s.io/apimachinery/pkg/util/sets.Set.PopAny":           "take the first of sets.List, which sorts",
}

// seeded are the functions of the random packages that draw from no shared
// generator.
var seeded = []string{"New", "NewPCG", "NewChaCha8", "NewSource", "NewZipf"}

// floatMethods turn an exact quantity into a rounded one.
var floatMethods = []string{
	"k8s.io/apimachinery/pkg/api/resource.Quantity.AsApproximateFloat64",
	"k8s.io/apimachinery/pkg/api/resource.Quantity.AsFloat64Slow",
}

func (p *pass) imported(i *ast.ImportSpec) {
	path, err := strconv.Unquote(i.Path.Value)
	if err != nil {
		return
	}
	if instead, ok := bannedImports[path]; ok {
		p.found(i.Pos(), "import of %s: %s", path, instead)
	}
}

// used looks at what a name stands for.
func (p *pass) used(id *ast.Ident) {
	obj := p.TypesInfo.Uses[id]
	if obj == nil || obj.Pkg() == nil {
		return
	}
	if p.core && obj.Pkg().Path() == "os" && isPackageLevel(obj) {
		p.found(id.Pos(), "os.%s: the core knows no files and no environment: take what they say as an argument", obj.Name())
		return
	}
	f, ok := obj.(*types.Func)
	if !ok {
		return
	}
	name := nameOf(f)
	switch path := f.Pkg().Path(); {
	case bannedNames[name] != "":
		p.found(id.Pos(), "%s: %s", shortName(name), bannedNames[name])
	case (path == "math/rand" || path == "math/rand/v2") && f.Signature().Recv() == nil && !slices.Contains(seeded, f.Name()):
		p.found(id.Pos(), "rand.%s draws from a generator that all share: %s", f.Name(), insteadRand)
	case p.deciding && slices.Contains(floatMethods, name):
		p.found(id.Pos(), "%s rounds: %s", f.Name(), insteadFloat)
	}
}

func isPackageLevel(obj types.Object) bool { return obj.Parent() == obj.Pkg().Scope() }

// nameOf is the full name of a function: "path.Func" or "path.Type.Method".
func nameOf(f *types.Func) string {
	path := f.Pkg().Path()
	recv := f.Signature().Recv()
	if recv == nil {
		return path + "." + f.Name()
	}
	t := types.Unalias(recv.Type())
	if ptr, ok := t.(*types.Pointer); ok {
		t = types.Unalias(ptr.Elem())
	}
	if named, ok := t.(*types.Named); ok {
		return path + "." + named.Obj().Name() + "." + f.Name()
	}
	return path + "." + f.Name()
}

// shortName takes the folders off a full name.
func shortName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
