package jet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrNotSetUp means that no worker has made the streams on this account yet. Any
// call may return it.
var ErrNotSetUp = errors.New("Pelton's streams do not exist on this NATS account: start `pelton worker` on it first") //nolint:staticcheck // a name begins it

// ErrDenied means that the server refused an action for want of permission. The
// error that wraps it names the subject. Any call may return it.
var ErrDenied = errors.New("permission denied")

// ErrStoreFull means that the broker has no room for another job or object now.
var ErrStoreFull = errors.New("the broker's store is full: wait until results age out, remove jobs with `pelton rm`, or give it more room")

// ErrAgedOut means that something existed which is no longer kept: results, or
// the content of an object.
var ErrAgedOut = errors.New("some results have aged out of the store")

var errTooLarge = errors.New("too large to be a request or a result")

// deniedError is [ErrDenied] with the text of the error that says what was denied.
type deniedError struct{ error }

func (e *deniedError) Unwrap() []error { return []error{ErrDenied, e.error} }

// Explain turns what the broker says about missing streams and permissions into
// [ErrNotSetUp] and [ErrDenied], and returns any other error as it is.
func Explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrBucketNotFound),
		errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders),
		errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w (%w)", ErrNotSetUp, err)
	case errors.Is(err, nats.ErrPermissionViolation) && !errors.Is(err, ErrDenied):
		return &deniedError{err}
	}
	return err
}

// What a cluster answers while too few of its nodes are up.
const (
	errNoPeers         jetstream.ErrorCode = 10005
	errStreamOffline   jetstream.ErrorCode = 10118
	errConsumerOffline jetstream.ErrorCode = 10119
)

// IsStarting tells what a young cluster says from what waiting will not change.
func IsStarting(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case errNoPeers, errStreamOffline, errConsumerOffline:
			return true
		}
		return api.Code == 503 && !strings.Contains(api.Description, "not enabled")
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

// IsTransient reports whether err is one that a cluster gives while it has no
// leader, or that comes of an answer that died with a node: it will pass.
func IsTransient(err error) bool {
	return IsStarting(err) || errors.Is(err, nats.ErrTimeout)
}

// isPermanent reports whether trying again cannot help.
func isPermanent(err error) bool {
	return errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, ErrDenied) || errors.Is(err, jetstream.ErrObjectNotFound) || errors.Is(err, errTooLarge)
}

// IsWrongLastSeq reports whether err says that a subject holds a message already:
// the expected last sequence of 0 was refused. Replicated streams have a code
// of their own for it. A full stream is refused with another.
func IsWrongLastSeq(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// What a stream answers when the store, the account or the stream is full.
const (
	errStoreFailed     jetstream.ErrorCode = 10077
	errNoResources     jetstream.ErrorCode = 10023
	errStorageExceeded jetstream.ErrorCode = 10047
	errInvalidConfig   jetstream.ErrorCode = 10052
)

// FullStore makes [ErrStoreFull] of what the broker says when it has no room.
func FullStore(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == errStoreFailed || api.ErrorCode == errNoResources || api.ErrorCode == errStorageExceeded) {
		return fmt.Errorf("%w (%w)", ErrStoreFull, err)
	}
	return err
}
