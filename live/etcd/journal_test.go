package etcd_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/live/etcd"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("SEATRIAL_TEST_WRITER"); dir != "" {
		writeUntilKilled(dir)
	}
	os.Exit(m.Run())
}

func configMap(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: "u"}, Data: map[string]string{"k": value}}
}

// cluster is a store whose writes go into a journal.
type cluster struct {
	*store.Store
	*etcd.Journal
	mu      sync.Mutex
	durable []uint64
}

func open(t testing.TB, dir string) *cluster {
	c := &cluster{Store: store.New(store.WindowDefault)}
	j, loaded, err := etcd.Open(context.Background(), etcd.Config{Dir: dir}, func(e store.Event) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.durable = append(c.durable, e.RV)
	})
	require.NoError(t, err)
	require.NoError(t, c.Restore(loaded.RV, loaded.Objects))
	c.Journal = j
	return c
}

func (c *cluster) write(e store.Event, err error) uint64 {
	if err != nil {
		panic(err)
	}
	c.Append(e, kinds.Size(e.Object))
	return e.RV
}

// What was written is there after a restart, at its versions, and what was deleted is
// not; the store goes on where it was.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	for i := range 300 {
		c.write(c.Create(configMap(fmt.Sprintf("c-%03d", i), "1")))
	}
	c.write(c.Update(configMap("c-007", "2"), 0))
	last := c.write(c.Delete(kinds.Ref{Kind: kinds.ConfigMap, Key: kinds.Key{Namespace: "default", Name: "c-008"}}, nil, 0))
	require.NoError(t, c.Wait(context.Background(), last))
	require.Len(t, c.durable, 302)
	for i, rv := range c.durable {
		require.EqualValues(t, i+1, rv)
	}
	require.NoError(t, c.Close())

	c = open(t, dir)
	require.EqualValues(t, 302, c.RV())
	require.Equal(t, 299, c.Len(kinds.ConfigMap))
	got := c.Get(kinds.Ref{Kind: kinds.ConfigMap, Key: kinds.Key{Namespace: "default", Name: "c-007"}}).(*corev1.ConfigMap)
	require.Equal(t, "2", got.Data["k"])
	require.Equal(t, "301", got.ResourceVersion)
	_, err := c.Since(100)
	require.ErrorIs(t, err, store.ErrTooOld)
	next := c.write(c.Create(configMap("new", "1")))
	require.EqualValues(t, 303, next)
	require.NoError(t, c.Wait(context.Background(), next))
	require.NoError(t, c.Close())
}

// A process that is killed in the middle of its work has lost nothing that it had
// acknowledged.
func TestNothingAcknowledgedIsLostByKill(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SEATRIAL_TEST_WRITER="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	acknowledged, buf, text := 0, make([]byte, 1<<16), ""
	for acknowledged < 2000 {
		n, err := out.Read(buf)
		require.NoError(t, err)
		text += string(buf[:n])
		if i := strings.LastIndexByte(text, '\n'); i >= 0 {
			lines := strings.Fields(text[:i])
			acknowledged, err = strconv.Atoi(lines[len(lines)-1])
			require.NoError(t, err)
			text = text[i:]
		}
	}
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()

	c := open(t, dir)
	defer c.Close()
	require.GreaterOrEqual(t, c.RV(), uint64(acknowledged))
	require.EqualValues(t, c.RV(), c.Len(kinds.ConfigMap), "one object a version")
	t.Logf("%d acknowledged, %d there", acknowledged, c.RV())
}

func writeUntilKilled(dir string) {
	s := store.New(store.WindowDefault)
	j, _, err := etcd.Open(context.Background(), etcd.Config{Dir: dir}, func(e store.Event) {
		fmt.Println(e.RV) // in the order of versions: all up to here are acknowledged
	})
	if err != nil {
		panic(err)
	}
	for i := 0; ; i++ {
		e, err := s.Create(configMap("c-"+strconv.Itoa(i), "1"))
		if err != nil {
			panic(err)
		}
		j.Append(e, kinds.Size(e.Object))
		if i%50 == 0 {
			_ = j.Wait(context.Background(), e.RV)
		}
	}
}

// Who finds that another writes ends, and its writes since are not there.
func TestTakenOver(t *testing.T) {
	// Two journals on one etcd: the second opens the same embedded server by its client.
	dir := t.TempDir()
	first := open(t, dir)
	defer func() { _ = first.Close() }()
	rv := first.write(first.Create(configMap("a", "1")))
	require.NoError(t, first.Wait(context.Background(), rv))
	second, loaded, err := etcd.Open(context.Background(), etcd.Config{Endpoints: []string{"unix://" + dir + "/client.sock"}}, func(store.Event) {})
	require.NoError(t, err)
	require.EqualValues(t, rv, loaded.RV)
	rv = first.write(first.Create(configMap("b", "1")))
	require.ErrorIs(t, first.Wait(context.Background(), rv), etcd.ErrTakenOver)
	require.NoError(t, second.Close())
}

func BenchmarkAcknowledged(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			c := open(b, b.TempDir())
			defer c.Close()
			var mu sync.Mutex
			var wg sync.WaitGroup
			n := 0
			start := time.Now()
			for range writers {
				wg.Go(func() {
					for {
						mu.Lock()
						if n >= b.N {
							mu.Unlock()
							return
						}
						n++
						rv := c.write(c.Create(configMap("c-"+strconv.Itoa(n), "1")))
						mu.Unlock()
						_ = c.Wait(context.Background(), rv)
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "writes/s")
		})
	}
}

// Objects that are written again and again do not fill etcd by what they were before; and
// one that is full all the same takes writes again, at the next start too.
func TestHistoryIsThrownAway(t *testing.T) {
	const quota, bytes = 32 << 20, 256 << 10
	dir := t.TempDir()
	c := &cluster{Store: store.New(store.WindowDefault)}
	j, _, err := etcd.Open(context.Background(), etcd.Config{Dir: dir, QuotaBytes: quota}, func(store.Event) {})
	require.NoError(t, err)
	c.Journal = j
	rv := c.write(c.Create(configMap("large", "0")))
	for i := range 4 * quota / bytes {
		rv = c.write(c.Update(configMap("large", strings.Repeat(strconv.Itoa(i%10), bytes)), 0))
	}
	require.NoError(t, c.Wait(context.Background(), rv))
	info, err := os.Stat(dir + "/data/member/snap/db")
	require.NoError(t, err)
	t.Logf("%d MiB written, %d MiB kept", 4*quota>>20, info.Size()>>20)
	require.Less(t, info.Size(), int64(quota))

	fill(t, "unix://"+dir+"/client.sock")
	rv = c.write(c.Create(configMap("after", "1")))
	require.NoError(t, c.Wait(context.Background(), rv))
	fill(t, "unix://"+dir+"/client.sock")
	_ = c.Close() // it may have been in the middle of it
	j, loaded, err := etcd.Open(context.Background(), etcd.Config{Dir: dir, QuotaBytes: quota}, func(store.Event) {})
	require.NoError(t, err)
	require.GreaterOrEqual(t, loaded.RV, rv)
	require.NoError(t, j.Close())
}

// fill writes one key over and over until etcd is full of what it was.
func fill(t *testing.T, endpoint string) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	require.NoError(t, err)
	defer client.Close()
	for range 1000 {
		if _, err = client.Put(t.Context(), "/filler", strings.Repeat("x", 1<<20)); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, rpctypes.ErrNoSpace)
}
