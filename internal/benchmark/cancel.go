package benchmark

import (
	"context"
	"fmt"
	"time"
)

// A job that is cancelled has so many calls in flight and so many requests
// waiting behind them; its calls take so long that none ends by itself.
const (
	cancelInFlight = 256
	cancelWaiting  = 100_000
	cancelLatency  = time.Hour
)

// cancels measures how soon a cancel is felt.
func (r *run) cancels(ctx context.Context, report *Report) error {
	if r.Cancels == 0 {
		return nil
	}
	if _, err := r.model.ask(ctx, task{Do: doLatency, Latency: cancelLatency}); err != nil {
		return err
	}
	for _, p := range r.programs() {
		if !p.pelton() {
			continue
		}
		r.Say(fmt.Sprintf("%s: %d cancels of %d calls in flight and %d requests waiting", p.name, r.Cancels, cancelInFlight, r.waiting()))
		one, err := r.cancelsOf(ctx, p)
		if err != nil {
			return fmt.Errorf("cancel: %w", err)
		}
		report.Cancels = append(report.Cancels, one)
	}
	return nil
}

// waiting is less where the rounds are short.
func (r *run) waiting() int {
	if r.Requests > 0 {
		return min(r.Requests, cancelWaiting)
	}
	return cancelWaiting
}

func (r *run) cancelsOf(ctx context.Context, p program) (Cancel, error) {
	one := Cancel{Name: p.name, Times: r.Cancels, InFlight: cancelInFlight, Waiting: r.waiting()}
	process, err := r.open(ctx, p, cancelInFlight, 1)
	if err != nil {
		return one, err
	}
	defer process.close()
	var aborted, ended []float64
	for range r.Cancels {
		if _, err := process.ask(ctx, task{Do: doBegin, Requests: one.InFlight + one.Waiting}); err != nil {
			return one, err
		}
		if _, err := r.model.ask(ctx, task{Do: doBusy, Requests: one.InFlight}); err != nil {
			return one, err
		}
		type reply struct {
			answer
			error
		}
		free := make(chan reply, 1)
		go func() {
			a, err := r.model.ask(ctx, task{Do: doFree})
			free <- reply{a, err}
		}()
		done, err := process.ask(ctx, task{Do: doCancel})
		if err != nil {
			r.model.close() // the other question has no answer any more
			<-free
			return one, err
		}
		last := <-free
		if last.error != nil {
			return one, last.error
		}
		aborted, ended = append(aborted, ms(last.At.Sub(done.At))), append(ended, 1e3*done.Seconds)
	}
	one.Aborted, one.Ended = spread(aborted), spread(ended)
	return one, nil
}
