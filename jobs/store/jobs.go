package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"pelton/internal/nats/pull"
	"pelton/jobs/store/internal/jet"
	"pelton/schema"
)

// Jobs are the jobs as they were published, in their stream.
type Jobs struct {
	c       *jet.Conn
	set     Settings
	objects *jet.Objects
}

// JobMessage is a job as it was published.
type JobMessage struct {
	Queue     string
	Seq       uint64 // in the jobs stream
	Published time.Time
	Data      []byte

	header nats.Header
}

// Publication is a job that is to be published.
type Publication struct {
	Data    []byte // the job's JSON
	MsgID   string // by which the stream knows a repetition for two minutes
	RetryOf string // the id of the job that this one runs again; empty: none
	Once    bool   // it is not tried again while nobody answers
}

// Publish stores a job, and reports whether the stream has had its MsgID before:
// then it is not stored. [ErrStoreFull] says that there is no room.
func (s *Jobs) Publish(ctx context.Context, queue string, p Publication) (duplicate bool, err error) {
	m := nats.NewMsg(s.c.Names.Jobs(queue))
	m.Data = p.Data
	m.Header.Set(nats.MsgIdHdr, p.MsgID)
	if p.RetryOf != "" {
		m.Header.Set(schema.HeaderRetryOf, p.RetryOf)
	}
	if p.Once {
		ctx, cancel := context.WithTimeout(ctx, jet.AckTime)
		defer cancel()
		err = s.c.PublishOnce(ctx, m)
	} else {
		err = s.c.Steadily(ctx, s.c.Names.JobsStream(), func(ctx context.Context) error {
			ack, err := s.c.Publish(ctx, m)
			duplicate = err == nil && ack.Duplicate
			return err
		})
	}
	if err == nil {
		return duplicate, nil
	}
	if err = jet.FullStore(err); errors.Is(err, jet.ErrStoreFull) && !p.Once {
		return false, err
	}
	return false, fmt.Errorf("publish the job: %w", jet.Explain(err))
}

// Get returns a job's message by its place in the stream; [ErrAgedOut] says that
// it is kept no more.
func (s *Jobs) Get(ctx context.Context, queue string, seq uint64) (JobMessage, error) {
	var m *jetstream.RawStreamMsg
	err := s.c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		stream, err := js.Stream(ctx, s.c.Names.JobsStream())
		if err == nil {
			m, err = stream.GetMsg(ctx, seq)
		}
		return err
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return JobMessage{}, jet.ErrAgedOut
	}
	if err != nil {
		return JobMessage{}, err
	}
	return jobMessage(queue, m), nil
}

func jobMessage(queue string, m *jetstream.RawStreamMsg) JobMessage {
	return JobMessage{Queue: queue, Seq: m.Sequence, Published: m.Time, Data: m.Data, header: m.Header}
}

// Decode reads the job in a message as far as it can be read; nil where not at all.
func (s *Jobs) Decode(m JobMessage) (*schema.Job, error) {
	data, _, err := Unwrap(m.header, m.Data)
	if err != nil {
		return nil, err
	}
	return schema.ParseJob(data, s.set.Limits())
}

// JobDelivery is a job's message in the hands of one owner. The holder keeps it
// alive without doing anything, and must call one of Ack, Nak and NakAfter.
type JobDelivery struct {
	JobMessage
	delivery *pull.Delivery
}

// Context ends when the job may be another owner's, or the process stops.
func (d *JobDelivery) Context() context.Context { return d.delivery.Context() }

// Ack says that the job is done with.
func (d *JobDelivery) Ack() { d.delivery.Ack() }

// Nak gives the job to another owner at once.
func (d *JobDelivery) Nak() { d.delivery.Nak() }

// NakAfter gives the job to any owner after a while.
func (d *JobDelivery) NakAfter(wait time.Duration) { d.delivery.NakAfter(wait) }

// ErrLost is the cause with which the context of a delivery ends when it could not
// be kept alive: it may be somebody else's by now.
var ErrLost = pull.ErrLost

// Consuming says how jobs are taken.
type Consuming struct {
	Queues map[string]int     // queue to the cap it is made with
	Slots  int                // jobs in hand at once
	Handle func(*JobDelivery) // called in a goroutine of its own
	Paused func() bool        // asked before more is taken
	Log    zerolog.Logger
}

// ConsumeJobs takes jobs until stop returns, which takes no further job and waits for
// those in hand. The end of ctx aborts those in hand.
func (s *Store) ConsumeJobs(ctx context.Context, how Consuming) (stop func(), err error) {
	var pullers []*pull.Puller
	stop = func() {
		for _, p := range pullers {
			p.Stop()
		}
	}
	slots := pull.NewSlots(how.Slots)
	slots.Expect(len(how.Queues))
	for queue, limit := range how.Queues {
		p, err := pull.Start(ctx, pull.Config{
			Conn: s.Conn(), Stream: s.c.Names.JobsStream(), Consumer: s.c.Names.OwnersConsumer(queue),
			AckWait: AckWait, Heartbeat: Heartbeat, Slots: slots,
			Handle: func(d *pull.Delivery) {
				m := JobMessage{Queue: queue, Seq: d.Sequence, Published: d.Published, Data: d.Msg.Data, header: d.Msg.Header}
				how.Handle(&JobDelivery{m, d})
			},
			Ensure: func(ctx context.Context) error { return s.SetupOnce(ctx, map[string]int{queue: limit}) },
			Paused: how.Paused, Log: how.Log,
		})
		if err != nil {
			stop()
			return nil, err
		}
		pullers = append(pullers, p)
	}
	return stop, nil
}

// Queues lists the queues of which a job is in the stream, in no order. last is
// the place of the stream's last message.
func (s *Jobs) Queues(ctx context.Context) (queues []string, last uint64, err error) {
	return s.queues(ctx, "*")
}

func (s *Jobs) queues(ctx context.Context, queue string) (queues []string, last uint64, err error) {
	info, err := s.c.Subjects(ctx, s.c.Names.JobsStream(), s.c.Names.Jobs(queue))
	if err != nil {
		return nil, 0, err
	}
	for subject := range info.State.Subjects {
		if at, ok := s.c.Names.Parse("jobs", subject); ok {
			queues = append(queues, at.Queue)
		}
	}
	return queues, info.State.LastSeq, nil
}

// Each calls f for every job of a queue that is in the stream now behind a place,
// until f returns an error, which Each returns: [ErrEnough], say.
func (s *Jobs) Each(ctx context.Context, queue string, after uint64, f func(JobMessage) error) error {
	r := s.c.NewReader(s.c.Names.JobsStream(), s.c.Names.Jobs(queue), after, false)
	return r.ReadStored(ctx, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		return f(JobMessage{Queue: queue, Seq: meta.Sequence.Stream, Published: meta.Timestamp, Data: m.Data(), header: m.Headers()})
	})
}

// Delivery is how far the jobs of a queue have been given to owners.
type Delivery struct {
	Served    bool   // a worker has ever served the queue
	Delivered uint64 // the last that an owner was given
	Done      uint64 // no owner has anything to do with it or an earlier one
	Pending   int    // how many are behind Delivered
}

// Delivery tells how far the jobs of a queue have been given to owners.
func (s *Jobs) Delivery(ctx context.Context, queue string) (Delivery, error) {
	info, err := s.c.Consumer(ctx, s.c.Names.JobsStream(), s.c.Names.OwnersConsumer(queue))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return Delivery{}, nil
	}
	if err != nil {
		return Delivery{}, err
	}
	return Delivery{true, info.Delivered.Stream, info.AckFloor.Stream, int(info.NumPending)}, nil
}

// FindQueued looks for a job that no owner has been given, nil when there is none.
// With held it also looks among those that an owner was given and is not done
// with: one that is slow, or died before it wrote a record. It reads every
// message that is not acknowledged then, and those between them.
func (s *Jobs) FindQueued(ctx context.Context, queue, id string, held bool) (*schema.State, error) {
	var found *schema.State
	err := s.eachQueued(ctx, queue, held, func(state *schema.State) bool {
		if state.ID == id {
			found = state
		}
		return found == nil
	})
	return found, err
}

// EachQueued calls f for the jobs of a queue that no owner has been given, until
// f returns false. These have no record yet, so the messages themselves are read.
// A queue of "*" means all.
func (s *Jobs) EachQueued(ctx context.Context, queue string, f func(*schema.State) bool) error {
	return s.eachQueued(ctx, queue, false, f)
}

func (s *Jobs) eachQueued(ctx context.Context, queue string, held bool, f func(*schema.State) bool) error {
	queues, _, err := s.queues(ctx, queue)
	if err != nil {
		return err
	}
	for _, name := range queues {
		given, err := s.Delivery(ctx, name)
		if err != nil {
			return err
		}
		after := given.Delivered
		if held {
			after = given.Done
		}
		err = s.Each(ctx, name, after, func(m JobMessage) error {
			if !f(s.QueuedState(m)) {
				return ErrEnough
			}
			return nil
		})
		if errors.Is(err, ErrEnough) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// QueuedState is the state of a job that no owner has been given.
func (s *Jobs) QueuedState(m JobMessage) *schema.State {
	_, want, _ := s.Parse(m)
	want.State.State, want.StartedAt, want.UpdatedAt = schema.Queued, nil, want.CreatedAt
	return &want.State
}
