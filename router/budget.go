package router

import (
	"fmt"
	"time"

	"pelton/router/internal/budget"
)

// Budget bounds what deployments may cost together, as far as this process calls
// them: once so much is spent, they take nothing until the window ends. Calls under
// way are not ended, so that a little more may be spent.
type Budget struct {
	Name        string        // for messages, such as "provider openai"
	Deployments []string      // their ids
	Limit       float64       // USD
	Window      time.Duration // after which it begins anew; 0: never
}

// overBudget says which budget of d is spent; empty: none.
func (d *deployment) overBudget(now time.Time) string {
	for _, b := range d.budgets {
		if why := b.Over(now); why != "" {
			return why
		}
	}
	return ""
}

// addBudgets gives the deployments their budgets.
func (r *Router) addBudgets(cfg *Config) (errs []error) {
	for _, one := range cfg.Budgets {
		made := &budget.Budget{Name: one.Name, Limit: one.Limit, Window: one.Window}
		if !(one.Limit >= 0) || one.Window < 0 {
			errs = append(errs, fmt.Errorf("budget of %s: neither limit nor window may be negative", one.Name))
		}
		for _, id := range one.Deployments {
			d := r.byID[id]
			switch {
			case d == nil:
				errs = append(errs, fmt.Errorf("budget of %s: no deployment has the id %q", one.Name, id))
			case !d.Prices.Known():
				errs = append(errs, fmt.Errorf("budget of %s: what deployment %q costs is not known: it needs prices", one.Name, id))
			default:
				d.budgets = append(d.budgets, made)
			}
		}
	}
	return errs
}
