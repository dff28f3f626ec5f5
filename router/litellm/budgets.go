package litellm

import (
	"fmt"
	"strconv"
	"time"

	"pelton/router"
	"pelton/router/internal/lazyregexp"
)

// spending is a budget as a file has it.
type spending struct {
	limit  float64
	window time.Duration
	line   int // 0: there is none
}

// budget reads an object with a limit and how long it is for, by whichever of their
// two names.
func (l *loader) budget(section entry) spending {
	s := spending{line: section.line}
	limited := false
	for _, e := range l.mapping(section.value, section.path) {
		switch e.key {
		case "budget_limit", "max_budget":
			if limit := l.amount(e); limit != nil {
				s.limit, limited = *limit, true
			}
		case "time_period", "budget_duration":
			s.window = l.period(e)
		default:
			l.unused(e, "")
		}
	}
	if !limited {
		return spending{}
	}
	return s
}

var periodForm = lazyregexp.New(`^(\d+)(mo|[smhdw])$`)

var periodUnits = map[string]time.Duration{
	"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "mo": 30 * 24 * time.Hour,
}

// period reads how long a budget is for, such as 30d. 0 means none or a problem.
func (l *loader) period(e entry) time.Duration {
	text, ok := l.text(e)
	if !ok {
		return 0
	}
	if m := periodForm.Get().FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil && n > 0 && n < 10_000 {
			return time.Duration(n) * periodUnits[m[2]]
		}
	}
	l.problem(e.line, fmt.Sprintf("%s: %q must be a number and s, m, h, d, w or mo, such as 30d", e.path, text))
	return 0
}

// budgeted is the provider in whose budget a prefix is.
func budgeted(prefix string) string {
	switch prefix {
	case "bedrock_converse", "bedrock_mantle":
		return "bedrock"
	case "vertex_ai_beta":
		return "vertex_ai"
	case "":
		return "openai"
	}
	return prefix
}

// readBudgets reads those of whole providers, and of everything.
func (l *loader) readBudgets(all map[string][]section) {
	for _, part := range all["router_settings"] {
		l.file = part.file
		if e := findEntry(l.mapping(part.entry.value, part.entry.path), "provider_budget_config"); e != nil {
			for _, one := range l.mapping(e.value, e.path) {
				l.providerBudgets[one.key] = l.budget(one)
			}
		}
	}
	for _, part := range all["litellm_settings"] {
		l.file = part.file
		for _, e := range l.mapping(part.entry.value, part.entry.path) {
			switch e.key {
			case "max_budget":
				if limit := l.amount(e); limit != nil {
					l.total.limit, l.total.line = *limit, e.line
				}
			case "budget_duration":
				l.total.window = l.period(e)
			}
		}
	}
}

// priced notes a problem where what a deployment costs must be known, and is not.
func (l deploymentReader) priced(p *pending, path string) {
	names := ""
	switch {
	case p.Prices.Known() || p.MockResponse != nil && p.budget.line == 0:
	case p.budget.line > 0:
		names = "max_budget"
	case l.providerBudgets[p.service].line > 0:
		names = "provider_budget_config"
	case l.total.line > 0:
		names = "litellm_settings.max_budget"
	}
	if names == "" {
		return
	}
	what := names
	if what == "litellm_settings.max_budget" {
		what = "max_budget"
	}
	if l.accepted[what] {
		l.warn(p.line, path, names+" does not count it, which was accepted: its prices are not known")
		p.budget, p.unbudgeted = spending{}, true
		return
	}
	l.problem(p.line, fmt.Sprintf("%s: %s cannot be kept without its prices: set input_cost_per_token and output_cost_per_token, or start with --accept-unused %s", path, names, what))
}

// addBudgets makes the budgets of the deployments that there are.
func (l *loader) addBudgets(cfg *router.Config, found []pending) {
	byProvider := map[string][]string{}
	var everybody []string
	for _, p := range found {
		if p.leftOut != "" || p.unbudgeted {
			continue
		}
		if p.budget.line > 0 {
			cfg.Budgets = append(cfg.Budgets, router.Budget{Name: "deployment " + p.ID, Deployments: []string{p.ID}, Limit: p.budget.limit, Window: p.budget.window})
		}
		if l.providerBudgets[p.service].line > 0 && p.Prices.Known() {
			byProvider[p.service] = append(byProvider[p.service], p.ID)
		}
		if p.Prices.Known() {
			everybody = append(everybody, p.ID)
		}
	}
	for provider, ids := range byProvider {
		b := l.providerBudgets[provider]
		cfg.Budgets = append(cfg.Budgets, router.Budget{Name: "provider " + provider, Deployments: ids, Limit: b.limit, Window: b.window})
	}
	if l.total.line > 0 && len(everybody) > 0 {
		cfg.Budgets = append(cfg.Budgets, router.Budget{Name: "all deployments", Deployments: everybody, Limit: l.total.limit, Window: l.total.window})
	}
}
