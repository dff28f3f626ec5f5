package credentials

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"pelton/router/protocol"
)

// renewed is a bearer token that ends. One serves all calls; it is renewed before
// it ends, once for all that ask at the same time. It is safe for concurrent use.
type renewed struct {
	// get fetches a token, and says when it ends; the zero time: nobody knows. It is
	// set before the first use.
	get func(ctx context.Context) (token string, ends time.Time, err error)

	fetching singleflight.Group

	mu      sync.Mutex
	token   string
	old     string // the one before, which calls under way still use
	fetched time.Time
	ends    time.Time
	renew   time.Time // a new one is fetched from then on
}

// ErrUnreachable is [protocol.ErrUnreachable].
var ErrUnreachable = protocol.ErrUnreachable

const (
	fetchTimeout = 30 * time.Second
	earlyRenewal = 5 * time.Minute  // before a token ends
	leastLeft    = 30 * time.Second // a token with less is not used
	retryRenewal = 20 * time.Second // after a renewal that failed, while the token is good
	leastAge     = 10 * time.Second // a refused token that is younger is not replaced
)

// Authorize is [Authorizer]'s.
func (r *renewed) Authorize(ctx context.Context, req *http.Request, body []byte) error {
	return Token(r.Token).Authorize(ctx, req, body)
}

// Token returns a token that is good for a while. It waits while one is fetched,
// but not beyond ctx. An error that does not wrap [ErrUnreachable] stays until
// somebody changes the credentials.
func (r *renewed) Token(ctx context.Context) (string, error) {
	now := time.Now()
	r.mu.Lock()
	token, good, due := r.token, r.token != "" && r.ends.Sub(now) > leastLeft, !now.Before(r.renew)
	if good && due {
		r.renew = now.Add(retryRenewal) // this caller renews; the others go on with what there is
	}
	r.mu.Unlock()
	if good && !due {
		return token, nil
	}
	err := r.fetch(ctx)
	if err != nil && good {
		return token, nil
	}
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.token, nil
}

// Refused has the next call fetch a new token, after a server refused this one,
// and reports whether that is worth a try: a token that is only seconds old is as
// good as another.
func (r *renewed) Refused() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.fetched) < leastAge {
		return false
	}
	r.ends = time.Time{}
	return true
}

// Secrets are the tokens that a server might repeat.
func (r *renewed) Secrets() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return []string{r.token, r.old}
}

// fetch fetches a token, once for all that ask at the same time, and goes on with
// it when the one that asked first has gone.
func (r *renewed) fetch(ctx context.Context) error {
	done := r.fetching.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		token, ends, err := r.get(ctx)
		if err == nil {
			r.keep(token, ends)
		}
		return nil, err
	})
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case result := <-done:
		return result.Err
	}
}

// keep keeps a token that was fetched.
func (r *renewed) keep(token string, ends time.Time) {
	now := time.Now()
	if ends.IsZero() {
		ends = now.Add(time.Hour)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if token != r.token {
		r.old = r.token
	}
	r.token, r.fetched, r.ends = token, now, ends
	r.renew = later(ends.Add(-earlyRenewal), now.Add(ends.Sub(now)/2))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
