package gossip

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestQueueKeepsTheLastOfEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(func(err error) { t.Error(err) })
		defer q.close()
		for _, k := range []Kind{Joined, Failed, Joined, Failed} {
			q.put(Event{Kind: k, Node: "a"})
		}
		q.put(Event{Kind: Joined, Node: "b"})
		q.put(Event{Kind: Clashed, Node: "a"})
		synctest.Wait()
		q.put(Event{Kind: Left, Node: "a"}) // while the pump offers the one before
		synctest.Wait()
		require.Equal(t, Event{Kind: Left, Node: "a"}, <-q.out)
		require.Equal(t, Event{Kind: Joined, Node: "b"}, <-q.out)
		require.Equal(t, Event{Kind: Clashed, Node: "a"}, <-q.out)
		synctest.Wait()
		select {
		case e := <-q.out:
			t.Errorf("one more: %v", e)
		default:
		}
	})
}

func TestQueueHasALimit(t *testing.T) {
	var said []string
	q := newQueue(func(err error) { said = append(said, err.Error()) })
	for i := range pendingMax + 2 {
		q.put(Event{Kind: Failed, Node: fmt.Sprint("n", i)})
	}
	q.put(Event{Kind: Joined, Node: "n7"}) // is known, so there is room
	require.Len(t, said, 2)
	require.Contains(t, said[1], "10000 events wait, which is the limit; 2 lost, the last: Failed n10001")
	q.close()
	_, open := <-q.out
	require.False(t, open)
}

func TestComplaintsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		c := &complaints{report: func(err error) { said = append(said, err.Error()) }}
		fmt.Fprintln(c, "[DEBUG] memberlist: all is well")
		for range reportsMax + 5 {
			fmt.Fprintln(c, "[ERR] memberlist: Decrypt packet failed")
		}
		require.Len(t, said, reportsMax)
		require.Equal(t, "gossip: Decrypt packet failed", said[0])
		advance(reportEvery)
		fmt.Fprintln(c, "[WARN] memberlist: again")
		require.Equal(t, []string{"gossip: 5 more complaints like the last ones", "gossip: again"}, said[reportsMax:])
	})
}
