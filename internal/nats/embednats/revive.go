package embednats

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/nats-io/nats-server/v2/server"
)

// ErrNoRoom means that the disk of the store is full.
var ErrNoRoom = errors.New("embedded NATS: the disk is full")

// roomToRevive is how many bytes must be free for the server to take messages again.
const roomToRevive = 4 << 20

// Revive starts JetStream again in a server that takes nothing more, see
// [Server.Healthy]. Streams on disk are read in as they were when the last message was
// acknowledged; those in memory are gone, as after the server's end. [ErrNoRoom] says
// that there still is no room; any other error, that trying again will not help.
func (s *Server) Revive() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return errors.New("embedded NATS: the server has ended")
	}
	if err := s.probe(); err != nil {
		return err
	}
	if err := s.srv.ShutdownJetStream(); err != nil { // nothing where it is off already
		return fmt.Errorf("embedded NATS: end JetStream: %w", err)
	}
	config := s.config
	if err := s.srv.EnableJetStream(&config); err != nil {
		return fmt.Errorf("embedded NATS: start JetStream again: %w", err)
	}
	return nil
}

// probe sees whether the disk takes as much as the server needs to begin with.
func (s *Server) probe() error {
	path := filepath.Join(s.config.StoreDir, "room")
	err := os.WriteFile(path, make([]byte, roomToRevive), 0o600)
	_ = os.Remove(path)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w (%w)", ErrNoRoom, err)
	case err != nil:
		return fmt.Errorf("embedded NATS: %w", err)
	}
	return nil
}

// configOf is what JetStream was started with.
func configOf(srv *server.Server, o Options) server.JetStreamConfig {
	config := server.JetStreamConfig{StoreDir: o.StoreDir, MaxStore: o.MaxStore, SyncAlways: o.SyncAlways, SyncInterval: o.SyncInterval}
	if made := srv.JetStreamConfig(); made != nil {
		config = *made
		config.StoreDir = o.StoreDir // to which it adds its own
	}
	return config
}
