package jobs

import (
	"context"
	"fmt"

	"pelton/schema"
)

// deadModels are the models of a job for which no deployment is left: bad key,
// no quota, no such model.
type deadModels struct {
	names   map[string]bool
	scanned int // no request below has another model and is still to be fed
}

// died notes that no deployment is left for a model. When none is left for any
// request that is still to be fed, the job ends, instead of failing what is left
// one by one; what is in flight may still come to its end.
func (j *owned) died(ctx context.Context, model string) error {
	if j.dead.names == nil {
		j.dead.names = map[string]bool{}
	}
	if j.dead.names[model] || j.ending != nil {
		return nil
	}
	j.dead.names[model] = true
	for ; j.dead.scanned < j.rec.Total; j.dead.scanned++ {
		index := j.dead.scanned
		if _, fed := j.window[index]; fed || j.tally.done.Has(index) {
			continue
		}
		request, err := j.src.At(index)
		if err != nil {
			return fmt.Errorf("job %s: read request %d: %w", j.rec.ID, index, err)
		}
		if request.Problem == nil && !j.dead.names[j.modelOf(request)] {
			return nil
		}
		if err := j.keepLease(ctx); err != nil {
			return err
		}
	}
	return j.endSoftly(ctx, schema.Reason{Code: schema.ReasonNoDeployment,
		Message: fmt.Sprintf("no deployment is left that could take any of the remaining requests (the last to go was that of model %q)", model)})
}

func (j *owned) modelOf(r schema.Request) string {
	if model, ok := schema.StringField(r.Body, "model"); ok {
		return model
	}
	model, _ := schema.StringField(j.job.Defaults, "model")
	return model
}
