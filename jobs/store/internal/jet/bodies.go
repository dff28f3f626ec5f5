package jet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// PutBody stores bytes above the message limit under a name of their own: two
// writers of the same index must not overwrite each other.
func (s *Objects) PutBody(ctx context.Context, prefix string, data []byte) (string, error) {
	name := prefix + "." + nuid.Next()
	err := s.WithBucket(ctx, s.c.Names.BodiesBucket(), func(ctx context.Context, store jetstream.ObjectStore) error {
		_, err := store.Put(ctx, s.meta(name), bytes.NewReader(data))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("put %d bytes into the object store: %w", len(data), err)
	}
	return name, nil
}

// meta describes an object whose pieces fit the broker's messages.
func (s *Objects) meta(name string) jetstream.ObjectMeta {
	piece := min(512<<10, s.c.MaxPayload()/2)
	return jetstream.ObjectMeta{Name: name, Opts: &jetstream.ObjectMetaOptions{ChunkSize: uint32(piece)}}
}

// mostBody bounds what is read from the object store for one message: a result
// with a request and an answer of 64 MiB each, the latter as a JSON string that
// needs six bytes for one.
const mostBody = 512 << 20

// GetBody returns what [Objects.PutBody] has stored.
func (s *Objects) GetBody(ctx context.Context, name string) ([]byte, error) {
	data, err := s.readBody(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read the object %s: %w", name, err)
	}
	return data, nil
}

func (s *Objects) readBody(ctx context.Context, name string) ([]byte, error) {
	info, err := s.Info(ctx, s.c.Names.BodiesBucket(), name)
	switch {
	case err != nil:
		return nil, err
	case info == nil:
		return nil, jetstream.ErrObjectNotFound
	case info.Size > mostBody:
		return nil, fmt.Errorf("it has %d bytes, and no body more than %d: %w", info.Size, mostBody, errTooLarge)
	}
	object := s.Open(ctx, info, 0)
	defer func() { _ = object.Close() }()
	return io.ReadAll(object)
}

// DeleteBody is [Objects.Delete] of what [Objects.PutBody] has stored.
func (s *Objects) DeleteBody(ctx context.Context, name string) {
	if name != "" { // as a rule
		s.Delete(ctx, s.c.Names.BodiesBucket(), name)
	}
}

// Delete deletes an object that nothing points to; an empty name is none.
// What a failure leaves behind ages out with the bucket.
func (s *Objects) Delete(ctx context.Context, bucket, name string) {
	if name == "" {
		return
	}
	err := s.WithBucket(ctx, bucket, func(ctx context.Context, store jetstream.ObjectStore) error {
		return store.Delete(ctx, name)
	})
	if err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		s.c.Log.Debug().Err(err).Str("object", name).Msg("could not delete an object that is no longer needed")
	}
}
