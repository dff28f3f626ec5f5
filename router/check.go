package router

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"pelton/router/internal/ending"
	"pelton/router/protocol"
	"pelton/schema"
)

// Listing is whether a server lists a deployment's model.
type Listing string

// The answers to that.
const (
	Listed        Listing = "listed"
	NotListed     Listing = "not_listed" // it may serve it all the same
	ListedUnknown Listing = "unknown"    // it lists nothing, or the deployment takes any model
)

// CheckResult is what [Router.Check] found of one deployment.
type CheckResult struct {
	Deployment DeploymentInfo `json:"deployment"`
	Reachable  bool           `json:"reachable"`  // it answered at all; false without an Error: its kind lists no models, and was not asked
	Authorised bool           `json:"authorised"` // it answered, and did not refuse the key
	Model      Listing        `json:"model"`
	LatencyMs  float64        `json:"latency_ms"`

	// What is configured: limits, 0 for none, and whether the price is known.
	RPM         int  `json:"rpm"`
	TPM         int  `json:"tpm"`
	MaxParallel int  `json:"max_parallel"`
	PriceKnown  bool `json:"price_known"`

	// Instead is the base URL at which the server lists its models, where that is
	// not the deployment's: with a /v1 more, or less. Empty: it is right, or nothing
	// is known.
	Instead string `json:"base_url_instead,omitempty"`

	Error *schema.Error `json:"error"` // why the answer was no list of models; nil when it was one
}

// Bounds of a check: for one deployment, and at once.
const (
	checkTimeout = 10 * time.Second
	checksAtOnce = 16
)

// Check asks each deployment for its list of models, a call that costs
// nothing, and returns what came of it in the deployments' order. A deployment
// gets one try of 10 s. A server may well serve chats and list no models: then
// Reachable and Authorised hold and Error says what it answered.
func (r *Router) Check(ctx context.Context) []CheckResult {
	results := make([]CheckResult, len(r.deployments))
	var all errgroup.Group
	all.SetLimit(checksAtOnce)
	for i, d := range r.deployments {
		all.Go(func() error {
			results[i] = checkOf(ctx, d)
			if e := results[i].Error; e != nil && results[i].Reachable && results[i].Authorised {
				results[i].Instead = r.instead(ctx, d)
			}
			return nil
		})
	}
	_ = all.Wait()
	return results
}

// instead looks for the models of a server that lists none at a deployment's base
// URL: with /v1 where that has none, else without.
func (r *Router) instead(ctx context.Context, d *deployment) string {
	other := d.Deployment
	if short, ok := strings.CutSuffix(d.BaseURL, "/v1"); ok {
		other.BaseURL = short
	} else {
		other.BaseURL = d.BaseURL + "/v1"
	}
	if d.protocolName() != "openai" || d.BaseURL == "" {
		return ""
	}
	made, err := newDeployment(other, d.transport, d.limit)
	if err != nil || checkOf(ctx, made).Error != nil {
		return ""
	}
	return other.BaseURL
}

// checkOf asks a deployment what it serves.
func checkOf(ctx context.Context, d *deployment) CheckResult {
	result := CheckResult{
		Deployment: d.info(), Model: ListedUnknown,
		RPM: d.RPM, TPM: d.TPM, MaxParallel: d.MaxParallel, PriceKnown: d.Prices.Known(),
	}
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, &ending.TimeUp{After: checkTimeout, Attempt: true})
	defer cancel()
	start := time.Now()
	c := &call{Call: protocol.Call{Endpoint: protocol.ListModels}, fresh: true}
	asked := d.serves(c.Endpoint)
	var err error
	if p, ok := d.protocol.(protocol.Prover); asked {
		err = c.do(ctx, d)
	} else if ok {
		err = p.Prove(ctx)
	}
	result.LatencyMs = milliseconds(time.Since(start))
	if err != nil {
		result.Error = notSent(err)
		d.scrub().Tidy(result.Error)
	}
	if err != nil || !asked {
		return result
	}
	a := c.ended(ctx, d)
	result.Reachable = c.reply.Status != 0
	result.Authorised = result.Reachable && c.reply.Status != 401 && c.reply.Status != 403
	if v := classify(a); v.err != nil {
		result.Error = v.err
		c.scrub(d.scrub()).Tidy(v.err)
		return result
	}
	result.Model = listingOf(d, c.answer.Body)
	return result
}

// listingOf looks for the deployment's model in a list of models.
func listingOf(d *deployment, raw []byte) Listing {
	names := d.protocol.Models(raw)
	if len(names) == 0 || strings.Contains(d.Model, "*") {
		return ListedUnknown
	}
	for _, name := range names {
		// Gemini and Ollama list a name with more around it.
		if name == d.Model || name == "models/"+d.Model || name == d.Model+":latest" {
			return Listed
		}
	}
	return NotListed
}

// String is the result on one line.
func (c CheckResult) String() string {
	switch {
	case c.Instead != "":
		return fmt.Sprintf("%s: %s; it lists its models at %s: set api_base to that", c.Deployment.ID, c.Error.Message, c.Instead)
	case c.Error != nil:
		return fmt.Sprintf("%s: %s", c.Deployment.ID, c.Error.Message)
	case !c.Reachable:
		return fmt.Sprintf("%s: lists no models, and was not asked, %s", c.Deployment.ID, c.Terms())
	default:
		return fmt.Sprintf("%s: %s answered in %.0f ms, model %s, %s", c.Deployment.ID, c.Deployment.BaseURL, c.LatencyMs, c.Model, c.Terms())
	}
}

// Terms are the limits of the deployment, and whether its price is known, in words.
func (c CheckResult) Terms() string {
	if !c.PriceKnown {
		return c.limits() + ", price unknown"
	}
	return c.limits() + ", price known"
}

func (c CheckResult) limits() string {
	var parts []string
	for _, limit := range []struct {
		n    int
		unit string
	}{{c.RPM, "requests/min"}, {c.TPM, "tokens/min"}, {c.MaxParallel, "at once"}} {
		if limit.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", limit.n, limit.unit))
		}
	}
	if len(parts) == 0 {
		return "no limits"
	}
	return strings.Join(parts, ", ")
}
