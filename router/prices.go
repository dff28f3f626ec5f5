package router

import (
	"slices"

	"pelton/router/prices"
)

// Prices are those of a deployment, by their name in [prices].
type Prices = prices.Prices

// Priced reports whether the cost of a call for the model can be told whichever
// deployment of its group takes it. Fallbacks to other groups do not count.
func (r *Router) Priced(model string) bool {
	g, _ := r.groups.match(r.alias(model))
	return g != nil && !slices.ContainsFunc(g.members, func(d *deployment) bool { return !d.Prices.Known() })
}
