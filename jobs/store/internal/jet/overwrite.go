package jet

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// Eraser takes messages away, and overwrites them on the server's disk where
// they may share a file with others. One goroutine uses it.
type Eraser struct {
	c    *Conn
	JS   jetstream.JetStream // that of the call: see [Conn.Ask]
	most int                 // messages of one stream that are overwritten at most

	Messages int // taken away so far
	Unlinked int // those of them that may share a file with others, and were not overwritten
}

// OverwriteEverything is a bound on overwriting that is none.
const OverwriteEverything = -1

// NewEraser returns an eraser that overwrites up to most messages of one stream, or
// all of them with [OverwriteEverything].
func NewEraser(c *Conn, most int) *Eraser { return &Eraser{c: c, most: most} }

// With gives the eraser the API for as long as f takes.
func (e *Eraser) With(ctx context.Context, f func(context.Context) error) error {
	return e.c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		e.JS = js
		return f(ctx)
	})
}

// SubjectsOf counts the messages of each subject that matches filter.
func SubjectsOf(ctx context.Context, stream jetstream.Stream, filter string) (map[string]uint64, error) {
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, err
	}
	return info.State.Subjects, nil
}

// Erase removes the messages of one filter and returns how many there were.
func (e *Eraser) Erase(ctx context.Context, name, filter string) (int, error) {
	stream, err := e.JS.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil // lost with the broker's memory, or older than this stream
	}
	if err != nil {
		return 0, err
	}
	list, err := e.list(ctx, stream, filter)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	shared := blockEdges(list)
	if e.most != OverwriteEverything && len(shared) > e.most {
		e.Unlinked += len(shared)
		shared = nil
	}
	for _, m := range shared {
		if err := Overwrite(ctx, stream, m.sequence); err != nil {
			return 0, err
		}
		e.Messages++
	}
	if rest := len(list) - len(shared); rest > 0 {
		if err := stream.Purge(ctx, jetstream.WithPurgeSubject(filter)); err != nil {
			return 0, err
		}
		e.Messages += rest
	}
	return len(list), nil
}

// Overwrite replaces a message's bytes on the disk by random ones.
func Overwrite(ctx context.Context, stream jetstream.Stream, sequence uint64) error {
	err := stream.SecureDeleteMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) || errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil // it aged out meanwhile, or an earlier removal came this far
	}
	return err
}

// storedMsg is a message as it lies in a stream.
type storedMsg struct {
	sequence uint64
	size     int // of its content
}

// blockSize is the largest file in which the server keeps messages. A file goes
// when its last message does.
const blockSize = 8 << 20

// blockEdges returns those messages that may share a file with other messages: in
// each run of sequences without a gap, those that are less than a file's length
// from an end of it. What is between them fills files of its own.
func blockEdges(list []storedMsg) []storedMsg {
	var ends []storedMsg
	for from := 0; from < len(list); {
		to := from + 1
		for to < len(list) && list[to].sequence == list[to-1].sequence+1 {
			to++
		}
		head, tail := from, to
		for room := blockSize; head < to && room > 0; head++ {
			room -= list[head].size
		}
		for room := blockSize; tail > head && room > 0; tail-- {
			room -= list[tail-1].size
		}
		ends = append(append(ends, list[from:head]...), list[tail:to]...)
		from = to
	}
	return ends
}

// msgSizeHeader is what the server puts into a message that it sends without
// its content.
const SizeHeader = "Nats-Msg-Size"

// list lists what lies under a filter, by sequence.
func (e *Eraser) list(ctx context.Context, stream jetstream.Stream, filter string) (list []storedMsg, err error) {
	info := stream.CachedInfo().Config
	if info.Retention == jetstream.WorkQueuePolicy { // it has no consumers beside its own
		return e.queuedMessages(ctx, stream, filter)
	}
	r := e.c.NewReader(info.Name, filter, 0, true)
	err = r.ReadStored(ctx, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		size, _ := strconv.Atoi(m.Headers().Get(SizeHeader))
		list = append(list, storedMsg{meta.Sequence.Stream, size})
		return nil
	})
	return list, err
}

func (e *Eraser) queuedMessages(ctx context.Context, stream jetstream.Stream, filter string) (list []storedMsg, err error) {
	subjects, err := SubjectsOf(ctx, stream, filter)
	if err != nil {
		return nil, err
	}
	for subject := range subjects {
		m, err := e.c.LastMsg(ctx, stream.CachedInfo().Config.Name, subject)
		if err != nil {
			return nil, err
		}
		if m != nil {
			list = append(list, storedMsg{m.Sequence, len(m.Data)})
		}
	}
	slices.SortFunc(list, func(a, b storedMsg) int { return cmp.Compare(a.sequence, b.sequence) })
	return list, nil
}
