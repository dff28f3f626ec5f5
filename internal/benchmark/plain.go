package benchmark

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/sync/errgroup"
)

// plain is the program that a user would write who needs no queue: net/http, raw
// bytes, a semaphore, and the answers kept in the order of the requests.
type plain struct {
	client *http.Client
	url    string
	slots  chan struct{}
}

func newPlain(upstream string, inFlight int) *plain {
	return &plain{
		client: &http.Client{Transport: newTransport(inFlight)},
		url:    upstream + "/chat/completions",
		slots:  make(chan struct{}, inFlight),
	}
}

// newTransport keeps a connection for each call that may run at once; two, the
// default, would have most calls dial.
func newTransport(inFlight int) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = inFlight, inFlight
	return t
}

func (p *plain) Close() { p.client.CloseIdleConnections() }

func (p *plain) Tidy(context.Context) error { return nil }

func (p *plain) Run(ctx context.Context, requests Requests, take func([]byte) error) error {
	return inSlots(ctx, p.slots, requests, take, func(ctx context.Context, i int) ([]byte, error) {
		return p.call(ctx, appendBody(nil, i))
	})
}

func (p *plain) call(ctx context.Context, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer none")
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, data)
	}
	return data, err
}

// inSlots makes calls in goroutines, as many at once as there are slots, and
// hands the answers on in their order once all are there.
func inSlots(ctx context.Context, slots chan struct{}, requests Requests, take func([]byte) error,
	call func(ctx context.Context, i int) ([]byte, error),
) error {
	answers := make([][]byte, requests.N)
	group, ctx := errgroup.WithContext(ctx)
	for k := range requests.N {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return group.Wait()
		}
		group.Go(func() (err error) {
			defer func() { <-slots }()
			answers[k], err = call(ctx, requests.First+k)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, answer := range answers {
		if err := take(answer); err != nil {
			return err
		}
	}
	return nil
}
