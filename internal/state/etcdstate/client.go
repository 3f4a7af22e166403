package etcdstate

import (
	"context"
	"errors"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy/adapter"
	"google.golang.org/grpc"
)

// client is a client of an etcd in this process, whose closing also waits for what the
// server does for it: the end of a watch that tells of changes reads the database, and
// panics when that is closed under it.
type client struct {
	*clientv3.Client
	watches sync.WaitGroup
}

func newClient(server *etcdserver.EtcdServer) *client {
	c := &client{Client: v3client.New(server)}
	watches := adapter.WatchServerToWatchClient(servedWatches{v3rpc.NewWatchServer(server), &c.watches})
	c.Watcher = plainWatcher{clientv3.NewWatchFromWatchClient(countedWatches{watches, &c.watches}, c.Client)}
	return c
}

// Close ends the watches and returns when the server has left them.
func (c *client) Close() error {
	err := c.Client.Close()
	if errors.Is(err, context.Canceled) {
		err = nil // how it says that it was open
	}
	c.watches.Wait()
	return err
}

// countedWatches counts watches that are begun, at the client's side: there that is done when the client is closed.
type countedWatches struct {
	pb.WatchClient
	running *sync.WaitGroup
}

func (w countedWatches) Watch(ctx context.Context, options ...grpc.CallOption) (pb.Watch_WatchClient, error) {
	w.running.Add(1) // and always served: nothing between the two sides can fail
	return w.WatchClient.Watch(ctx, options...)
}

// servedWatches counts watches that have ended, at the server's side.
type servedWatches struct {
	pb.WatchServer
	running *sync.WaitGroup
}

func (w servedWatches) Watch(stream pb.Watch_WatchServer) error {
	defer w.running.Done()
	return w.WatchServer.Watch(stream)
}

// plainWatcher hides what a context says of itself, as v3client does: etcd prints it, beside those who change it.
type plainWatcher struct{ clientv3.Watcher }

func (w plainWatcher) Watch(ctx context.Context, key string, options ...clientv3.OpOption) clientv3.WatchChan {
	return w.Watcher.Watch(silentContext{ctx}, key, options...)
}

type silentContext struct{ context.Context }

func (silentContext) String() string { return "watch" }
