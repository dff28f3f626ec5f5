package fleet

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/nats/denied"
	"pelton/schema"
)

// Setup makes the bucket with the coordinator's lease where it is missing, for
// workers that may not make it themselves. It is idempotent.
func Setup(ctx context.Context, nc *nats.Conn, names schema.Names, replicas int) error {
	_, err := openBucketOf(ctx, nc, subjectsOf(names).bucket, max(1, replicas))
	return err
}

// openBucketOf is openBucketUntil for a connection that may lack the right: that
// is an error at once.
func openBucketOf(ctx context.Context, nc *nats.Conn, bucket string, replicas int) (jetstream.KeyValue, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	ctx, call := denied.Watch(nc).Guard(ctx, "$JS.API.STREAM.*.KV_"+bucket)
	defer call.End()
	kv, err := openBucketUntil(ctx, js, bucket, replicas)
	if refused := call.Err(); err != nil && refused != nil {
		return nil, fmt.Errorf("bucket %s: %w", bucket, refused)
	}
	return kv, err
}
