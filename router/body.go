package router

import (
	"encoding/json"
	"slices"

	"pelton/router/internal/keywords"
	"pelton/router/protocol"
	"pelton/schema"
)

// saysNothing are the keywords of most requests.
var saysNothing keywords.Keywords

// takeKeywords takes out of the request's body what is meant for the router.
func (r *run) takeKeywords() error {
	body, asked, err := keywords.Take(r.req.Body)
	if err != nil {
		return err
	}
	r.asked, r.req.Body, r.size.Body = &asked, body, body
	r.plan.asked = r.asked
	for _, tag := range asked.Tags {
		r.plan.tags = append(slices.Clip(r.plan.tags), tag)
	}
	return nil
}

// bodyFor returns the request's body for d: with the upstream's name for the
// model in it, with what the fallback says otherwise, and with what d adds and
// without what it drops. It is the same bytes where none of these differs.
func (r *run) bodyFor(d *deployment, model string, s *stage) (body json.RawMessage, err error) {
	if body = r.req.Body; !d.namesModel {
		if body, err = r.bodyWith(model); err != nil {
			return body, err
		}
	}
	if s.fields != nil {
		if body, err = schema.Merge(s.fields, body); err != nil {
			return nil, err
		}
	}
	defaults := d.Defaults
	if r.req.Endpoint == schema.Embeddings {
		defaults = d.EmbeddingDefaults
	} else if !protocol.Samples(r.req.Endpoint) {
		defaults = nil
	}
	if defaults != nil {
		if body, err = schema.Merge(body, defaults); err != nil {
			return nil, err
		}
	}
	if len(d.Drop) > 0 {
		body = keywords.Drop(body, d.Drop)
	}
	if len(r.asked.Drop) > 0 {
		body = keywords.Drop(body, r.asked.Drop)
	}
	return body, nil
}

func (r *run) bodyWith(model string) (json.RawMessage, error) {
	if model == r.plan.model {
		return r.req.Body, nil
	}
	if model != r.bodyName {
		quoted, err := json.Marshal(model)
		if err != nil {
			return nil, err
		}
		body, err := schema.SetField(r.req.Body, "model", quoted)
		if err != nil {
			return nil, err
		}
		r.body, r.bodyName = body, model
	}
	return r.body, nil
}
