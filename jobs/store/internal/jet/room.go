package jet

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrRoomUnknown means that the server does not say what its store may hold.
var ErrRoomUnknown = errors.New("the server does not say how much its store may hold")

// HasRoom reports whether the server's store, as a whole and however full, may hold
// so many bytes besides what is reserved. A client is not told of the server's own
// limit (max_file_store), but a new stream that would reserve more is refused. So one
// is asked for that is refused in any case, for another reason where the limit allows
// it: it names a subject twice. A cluster looks at that first, and says nothing of
// limits: [ErrRoomUnknown]. [ErrDenied] says that the connection's user may not make
// streams.
func (c *Conn) HasRoom(ctx context.Context, bytes int64) (bool, error) {
	if c.nc.ConnectedClusterName() != "" {
		return false, ErrRoomUnknown
	}
	c.watch.Spare("$JS.API.STREAM.CREATE." + c.Names.RoomStream()) // most users may not: then nobody knows
	subject := c.Names.Workers() + ".room"
	config := jetstream.StreamConfig{
		Name: c.Names.RoomStream(), Subjects: []string{subject, subject}, MaxBytes: max(bytes, 1), Storage: jetstream.FileStorage,
	}
	err := c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		_, err := js.CreateStream(ctx, config)
		if err == nil { // of a server that makes it all the same
			_ = js.DeleteStream(ctx, config.Name)
		}
		return err
	})
	var api *jetstream.APIError
	switch {
	case err == nil:
		return true, nil
	case !errors.As(err, &api):
		return false, err
	case api.ErrorCode == errStorageExceeded:
		return false, nil
	case api.ErrorCode == errInvalidConfig:
		return true, nil
	}
	return false, ErrRoomUnknown
}
