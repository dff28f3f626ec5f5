package queue_test

import (
	"testing"

	"go.uber.org/goleak"

	"pelton/internal/dev/testenv"
	"pelton/jobs/queue"
	"pelton/jobs/queue/queuetest"
	"pelton/jobs/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.Leaks()...) }

// Which queue an installation has is asked in one place.
func open(t *testing.T, alone bool) queue.Queue {
	t.Helper()
	e := testenv.New(t, testenv.Settings(store.Settings{Alone: alone}))
	q := queue.New(e.Store(map[string]int{queuetest.Name: 64}), testenv.Logger(t))
	if _, inMemory := q.(*queue.Memory); inMemory != alone {
		t.Fatalf("alone: %t, and the queue is a %T", alone, q)
	}
	return q
}

func TestStream(t *testing.T) {
	queuetest.Exercise(t, func(t *testing.T) queue.Queue { return open(t, false) })
}

func TestMemory(t *testing.T) {
	queuetest.Exercise(t, func(t *testing.T) queue.Queue { return open(t, true) })
}
