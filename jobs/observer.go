package jobs

import "pelton/schema"

// Observer counts what an owner does. Its methods are called concurrently and
// must not block.
type Observer interface {
	// Stored is told of a result that this process has stored, and not of one
	// for which another came first.
	Stored(queue string, r *schema.Result)

	// TookOver is told that a job is gone on with that another owner began.
	TookOver(queue string)
}
