// Package engine stands for every covered package.
package engine

import (
	crand "crypto/rand" // want `import of crypto/rand: take a \*rand.Rand`
	oldrand "math/rand"
	"math/rand/v2"
	"reflect"
	"runtime"
	"sync" // want `import of sync: one goroutine runs a world`
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilrand "k8s.io/apimachinery/pkg/util/rand" // want `import of k8s.io/apimachinery/pkg/util/rand`
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/uuid" // want `import of k8s.io/apimachinery/pkg/util/uuid: UIDs are minted by cluster/api`
	"k8s.io/apimachinery/pkg/util/wait" // want `import of k8s.io/apimachinery/pkg/util/wait: return when to look again`
)

func clocks(at time.Time) {
	_ = time.Now()                         // want `time.Now: take now as an argument`
	_ = time.Since(at)                     // want `time.Since: take now`
	_ = time.Until(at)                     // want `time.Until: take now`
	_ = time.After(time.Second)            // want `time.After: return when to look again`
	time.AfterFunc(time.Second, func() {}) // want `time.AfterFunc: return`
	_ = time.Tick(time.Second)             // want `time.Tick: return`
	_ = time.NewTimer(time.Second)         // want `time.NewTimer: return`
	_ = time.NewTicker(time.Second)        // want `time.NewTicker: return`
	time.Sleep(time.Second)                // want `time.Sleep: return`
	clock := time.Now                      // want `time.Now: take now`
	_ = at.Add(time.Second).Sub(clock())   // arithmetic is fine
	_ = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	_ = metav1.Now() // want `v1.Now: take now as an argument: .* as in metav1.NewTime`
	_ = metav1.NewTime(at)
	meta.SetStatusCondition(nil) // want `meta.SetStatusCondition: it reads the wall clock`
}

func randomness(mine *rand.Rand) {
	_ = rand.IntN(3)     // want `rand.IntN draws from a generator that all share: take a \*rand.Rand`
	rand.Shuffle(3, nil) // want `rand.Shuffle draws`
	_ = oldrand.Intn(3)  // want `rand.Intn draws`
	_ = mine.IntN(3)
	_ = rand.New(rand.NewPCG(1, 2))
	_ = oldrand.New(oldrand.NewSource(1))
	_, _ = crand.Read(nil)
	_ = utilrand.String(3)
	_ = uuid.NewUUID()
	wait.Forever()
}

func machine(v reflect.Value, s sets.Set[string]) {
	var mu sync.Mutex
	mu.Lock()
	_ = runtime.NumCPU() // want `runtime.NumCPU: a result must not depend on the machine`
	_ = v.MapKeys()      // want `reflect.Value.MapKeys: sort what it returns`
	_ = s.UnsortedList() // want `sets.Set.UnsortedList: use sets.List`
	_ = sets.List(s)
}

func concurrency(
	c chan int, // want `a channel: what happens first`
) {
	go clocks(time.Time{}) // want `a goroutine: what happens first must not depend on Go's scheduler: return an effect`
	c <- 1                 // want `a send on a channel`
	_ = <-c                // want `a receive from a channel`
	for range c {          // want `a range over a channel: keep what is to come in a slice`
	}
	select { // want `select chooses at random`
	default:
	}
}

func escapes(m map[string]int, f func(string)) {
	for k := range m { //det:ok f is told of each, in no order, and counts
		f(k)
	}
	for k := range m { /*det:ok*/ // want `a range over map m has no order`
		f(k)
	}
	for k := range m { //det:ok sorted // want `//det:ok wants a reason of 3 words or more: say why`
		f(k)
	}
	for k := range m { //det:ok // want `//det:ok wants a reason of 3 words`
		f(k)
	}
	f("") //det:ok nothing is wrong here // want `//det:ok silences nothing here: take it away`
	f("") //det:okay is another word
}
