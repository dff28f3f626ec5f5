package jobs

import (
	"context"
	"fmt"

	"pelton/schema"
)

// checkPrices makes sure that a limit on cost can be kept: the price of every
// model of the job must be known where it runs.
func (j *owned) checkPrices(ctx context.Context) error {
	if j.job.MaxCost == 0 || j.o.cfg.Priced == nil {
		return nil
	}
	known := map[string]bool{}
	for index := range j.rec.Total {
		request, err := j.src.At(index)
		if err != nil {
			return fmt.Errorf("job %s: read request %d: %w", j.rec.ID, index, err)
		}
		model := j.modelOf(request)
		if request.Problem != nil || known[model] {
			continue
		}
		if !j.o.cfg.Priced(model) {
			return &schema.Problems{Total: 1, Requests: j.rec.Total, List: []schema.Problem{{
				Code: schema.ProblemValue, Index: -1, Field: "max_cost",
				Message: fmt.Sprintf("no price is known for the model %q; set input_cost_per_token and output_cost_per_token for its deployments", model),
			}}}
		}
		known[model] = true
		if err := j.keepLease(ctx); err != nil {
			return err
		}
	}
	return nil
}
