package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// etcd keeps what each key was before, for readers that nobody is here. Its own way to
// throw that away goes by time, and within minutes one object that is written over and over
// would fill it; an etcd that runs elsewhere may have none at all. So the journal does it,
// by what it has written.

// compact throws history away when enough has been written since the last time. That it
// fails is no harm: the next one does it.
func (j *Journal) compact(wrote int64) {
	if j.written += wrote; j.written < j.compactAt || j.revision == 0 {
		return
	}
	j.written = 0
	ctx, cancel := context.WithTimeout(context.Background(), compactMax)
	defer cancel()
	// Physical: what is written next finds the room there.
	_, _ = j.client.Compact(ctx, j.revision, clientv3.WithCompactPhysical())
}

func isFull(err error) bool {
	return errors.Is(err, rpctypes.ErrNoSpace) || errors.Is(err, rpctypes.ErrGRPCNoSpace)
}

// takeOver makes this journal the one that writes.
func (j *Journal) takeOver(ctx context.Context) error {
	_, err := j.client.Put(ctx, j.prefix+"/owner", j.owner)
	if isFull(err) {
		if err := j.makeRoom(ctx); err != nil {
			return err
		}
		_, err = j.client.Put(ctx, j.prefix+"/owner", j.owner)
	}
	return err
}

// shrinkAll gives room back on each member of an etcd that runs elsewhere.
func shrinkAll(c *clientv3.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, e := range c.Endpoints() {
			if _, err := c.Defragment(ctx, e); err != nil {
				return err
			}
		}
		return nil
	}
}

// makeRoom throws all history away, gives the room back, and lets an etcd that was full
// take writes again.
func (j *Journal) makeRoom(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, compactMax)
	defer cancel()
	got, err := j.client.Get(ctx, j.prefix+"/owner")
	if err != nil {
		return err
	}
	if _, err := j.client.Compact(ctx, got.Header.Revision, clientv3.WithCompactPhysical()); err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		return fmt.Errorf("throw history away: %w", err)
	}
	if err := j.shrink(ctx); err != nil {
		return fmt.Errorf("give the room back: %w", err)
	}
	_, err = j.client.AlarmDisarm(ctx, (*clientv3.AlarmMember)(&etcdserverpb.AlarmMember{}))
	return err
}
