package etcd

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"

	"seatrial.dev/seatrial/cluster/store"
)

// Config says which etcd is used.
type Config struct {
	// Dir is the folder of an etcd in this process. It is made if it is not there.
	Dir string
	// Endpoints are the addresses of an etcd that runs elsewhere; Dir is not used then.
	Endpoints []string
	// TLS is for Endpoints; nil for none.
	TLS *tls.Config
	// Prefix of all keys; "" is "/seatrial".
	Prefix string
	// QuotaBytes is how large the etcd in Dir may grow; 0 is QuotaBytes.
	QuotaBytes int64
}

// Limits of the embedded etcd.
const (
	QuotaBytes   = 4 << 30
	quotaParts   = 8 // of which one is written before history is thrown away
	readyMax     = 60 * time.Second
	requestBytes = 8 << 20
	opsMax       = 1024
	keepWrites   = "5m" // of history, which nobody reads

	// Transactions that are kept besides: in memory, for other members to catch up by, of
	// which there are none; and on the disk, for the next start to repeat.
	keepInMemory = 64
	keepOnDisk   = 2000
)

// Open takes the etcd over for this process and reads the cluster that it holds. durable
// is called for each write that is there to stay, in order, by the journal's goroutine.
func Open(ctx context.Context, cfg Config, durable func(store.Event)) (*Journal, *Loaded, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = "/seatrial"
	}
	if cfg.QuotaBytes == 0 {
		cfg.QuotaBytes = QuotaBytes
	}
	name := make([]byte, 16)
	if _, err := rand.Read(name); err != nil {
		return nil, nil, err
	}
	j := &Journal{prefix: cfg.Prefix, owner: hex.EncodeToString(name), durable: durable, compactAt: min(compactBytes, cfg.QuotaBytes/quotaParts)}
	if err := j.connect(ctx, cfg); err != nil {
		return nil, nil, err
	}
	loaded, err := j.start(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, j.client.Close(), j.close())
	}
	return j, loaded, nil
}

func (j *Journal) connect(ctx context.Context, cfg Config) error {
	if len(cfg.Endpoints) > 0 {
		c, err := clientv3.New(clientv3.Config{Endpoints: cfg.Endpoints, TLS: cfg.TLS, DialTimeout: attemptMax, Context: context.WithoutCancel(ctx), Logger: zap.NewNop()})
		if err != nil {
			return fmt.Errorf("etcd at %v: %w", cfg.Endpoints, err)
		}
		j.client, j.shrink, j.close = c, shrinkAll(c), func() error { return nil }
		return nil
	}
	e, err := embedded(ctx, cfg.Dir, cfg.QuotaBytes)
	if err != nil {
		return fmt.Errorf("etcd in %s: %w", cfg.Dir, err)
	}
	j.client, j.close = v3client.New(e.Server), func() error { e.Close(); return nil }
	j.shrink = func(context.Context) error { return e.Server.Backend().Defrag() }
	return nil
}

// embedded starts an etcd of one member in this process.
func embedded(ctx context.Context, dir string, quota int64) (*embed.Etcd, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c := embed.NewConfig()
	c.Name, c.Dir = "seatrial", filepath.Join(dir, "data")
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	// Its doors are sockets in the folder, which nobody else may enter; a path may not be
	// long, so they are named from where the process stands if that is shorter.
	door := func(name string) []url.URL {
		return []url.URL{{Scheme: "unix", Host: "", Path: filepath.Join(dir, name)}}
	}
	c.ListenClientUrls, c.AdvertiseClientUrls = door("client.sock"), []url.URL{{Scheme: "http", Host: "localhost:2379"}}
	c.ListenPeerUrls, c.AdvertisePeerUrls = door("peer.sock"), []url.URL{{Scheme: "http", Host: "localhost:2380"}}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.QuotaBackendBytes, c.MaxRequestBytes, c.MaxTxnOps = quota, requestBytes, opsMax
	c.SnapshotCatchUpEntries, c.SnapshotCount = keepInMemory, keepOnDisk
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModePeriodic, keepWrites
	e, err := embed.StartEtcd(c)
	if err != nil {
		return nil, err
	}
	select {
	case <-e.Server.ReadyNotify():
		return e, nil
	case err = <-e.Err():
	case <-time.After(readyMax):
		err = fmt.Errorf("it is not ready after %v", readyMax)
	case <-ctx.Done():
		err = ctx.Err()
	}
	e.Close()
	return nil, err
}
