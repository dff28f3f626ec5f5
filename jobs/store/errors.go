package store

import (
	"errors"
	"fmt"
	"strings"

	"pelton/jobs/store/internal/jet"
)

// ErrNotSetUp means that no worker has made the streams on this account yet, and
// ErrDenied that the server refused an action for want of permission: the error
// that wraps it names the subject. Any call may return either.
var (
	ErrNotSetUp = jet.ErrNotSetUp
	ErrDenied   = jet.ErrDenied
)

// ErrStoreFull means that the broker has no room for another job or object now.
// [Jobs.Publish] and [Objects.Put] return it.
var ErrStoreFull = jet.ErrStoreFull

// ErrAgedOut means that something existed which is no longer kept: results, or
// the content of an object. What reads them returns it.
var ErrAgedOut = jet.ErrAgedOut

// ErrFenced means that somebody else has written a job's record: the job is
// theirs. [Records.Save], [Records.Claim] and [Records.Close] return it.
var ErrFenced = errors.New("another worker owns the job now")

// ErrStored means that a result for the same index is there already: the work
// is done, and what was brought is not needed. [Results.Put] returns it.
var ErrStored = errors.New("this index has its result already")

// ErrNoQueue means that no worker has ever served the queue. [Store.SetQueueCap]
// returns it.
var ErrNoQueue = errors.New("no such queue")

// ErrNotErased means that something of a removed job is still in the store.
var ErrNotErased = errors.New("something of the job is still in the store")

// ErrEnough stops a walk over messages without an error.
var ErrEnough = errors.New("enough")

// MissingError says what of an installation is not there, and that the
// connection's user may not make it. It wraps [ErrDenied]. [Store.Setup] returns it.
type MissingError struct {
	What []string // like "stream PELTON_JOBS", "queue default"
	Err  error    // the first refusal
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s: not there, and not for these credentials to make; somebody who may does so with `pelton check --create` (%v)",
		strings.Join(e.What, ", "), e.Err)
}

// Unwrap returns the first refusal.
func (e *MissingError) Unwrap() error { return e.Err }

// note adds what is missing where err says so, and returns any other error.
func (e *MissingError) note(what string, err error) error {
	var refused errMayNotMake
	if !errors.As(err, &refused) {
		return err
	}
	if e.Err == nil {
		e.Err = refused.error
	}
	e.What = append(e.What, what)
	return nil
}

// errMayNotMake marks the refusal of a call that would have made something, in
// contrast to one that would have looked.
type errMayNotMake struct{ error }

func (e errMayNotMake) Unwrap() error { return e.error }

func making(err error) error {
	if errors.Is(err, jet.ErrDenied) {
		return errMayNotMake{err}
	}
	return err
}

// Explain turns what the broker says about missing streams and permissions into
// [ErrNotSetUp] and [ErrDenied], and returns any other error as it is.
func Explain(err error) error { return jet.Explain(err) }

// IsTransient reports whether err is one that a cluster gives while it has no
// leader, or that comes of an answer that died with a node: it will pass.
func IsTransient(err error) bool { return jet.IsTransient(err) }

// IsWrongLastSeq reports whether err says that a subject that was to be empty
// holds a message already.
func IsWrongLastSeq(err error) bool { return jet.IsWrongLastSeq(err) }
