package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	_ "github.com/prometheus/prometheus/discovery/dns" // a kind of discovery that the configuration names
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// metrics are what a worker tells, with the labels. TestWorkerTells holds them to it.
var metrics = map[string][]string{
	"pelton_jobs":                    {"queue", "state"},
	"pelton_requests_total":          {"queue", "model_group", "status", "class"},
	"pelton_requests_wanted":         {"queue"},
	"pelton_queue_age_seconds":       {"queue"},
	"pelton_inflight":                {"deployment"},
	"pelton_inflight_limit":          {"deployment"},
	"pelton_slots":                   {},
	"pelton_slots_busy":              {},
	"pelton_attempt_seconds":         {"deployment", "outcome"},
	"pelton_ttft_seconds":            {"deployment", "outcome"},
	"pelton_retries_total":           {"deployment", "class"},
	"pelton_cooldowns_total":         {"deployment", "class"},
	"pelton_tokens_total":            {"model_group", "direction"},
	"pelton_cost_usd_total":          {"model_group", "direction"},
	"pelton_duplicate_calls_total":   {"queue"},
	"pelton_unknown_attempts_total":  {"model_group"},
	"pelton_unpriced_attempts_total": {"model_group"},
	"pelton_takeovers_total":         {"queue"},
	"pelton_store_bytes":             {"stream"},
	"up":                             {},
}

// histograms have three series each.
var histograms = []string{"pelton_attempt_seconds", "pelton_ttft_seconds"}

// labelsOf are the labels of a series; ok says that there is one.
func labelsOf(series string) (list []string, ok bool) {
	for _, h := range histograms {
		switch strings.TrimPrefix(series, h) {
		case "_bucket":
			return append(slices.Clone(metrics[h]), "le", "job", "instance"), true
		case "_sum", "_count":
			return append(slices.Clone(metrics[h]), "job", "instance"), true
		case "":
			return nil, false // of the histogram itself there is no series
		}
	}
	list, ok = metrics[series]
	return append(slices.Clone(list), "job", "instance"), ok
}

// query parses an expression and holds its series and labels to the table.
func query(t *testing.T, where, text string) {
	t.Helper()
	expr, err := parser.ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %s: %v", where, text, err)
		return
	}
	all := map[string]bool{}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if v, ok := node.(*parser.VectorSelector); ok {
			has, ok := labelsOf(v.Name)
			if !ok {
				t.Errorf("%s: %s: there is no %s", where, text, v.Name)
			}
			for _, m := range v.LabelMatchers {
				if m.Name != labels.MetricName && !slices.Contains(has, m.Name) {
					t.Errorf("%s: %s: %s has no label %s", where, text, v.Name, m.Name)
				}
			}
			for _, name := range has {
				all[name] = true
			}
		}
		return nil
	})
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if a, ok := node.(*parser.AggregateExpr); ok {
			for _, name := range a.Grouping {
				if !all[name] {
					t.Errorf("%s: %s: nothing in it has the label %s", where, text, name)
				}
			}
		}
		return nil
	})
}

func TestPrometheus(t *testing.T) {
	cfg, err := config.LoadFile(filepath.Join(root, "deploy/prometheus/prometheus.yml"), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.ScrapeConfigs) != 1 || cfg.ScrapeConfigs[0].JobName != "pelton" {
		t.Errorf("%+v", cfg.ScrapeConfigs)
	}
	for _, file := range cfg.RuleFiles {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
}

func TestRules(t *testing.T) {
	groups, errs := rulefmt.Parse([]byte(read(t, "deploy/prometheus/rules.yml")), false, model.UTF8Validation)
	for _, err := range errs {
		t.Error(err)
	}
	n := 0
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			n++
			query(t, r.Alert, r.Expr)
			if r.Alert == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
				t.Errorf("%+v lacks a severity or a summary", r)
			}
		}
	}
	if n < 5 {
		t.Errorf("%d rules", n)
	}
}

// dashboard is what is looked at of a Grafana dashboard.
type dashboard struct {
	UID        string `json:"uid"`
	Templating struct {
		List []struct {
			Name  string          `json:"name"`
			Type  string          `json:"type"`
			Query json.RawMessage `json:"query"`
		} `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID         int                      `json:"id"`
	Type       string                   `json:"type"`
	Title      string                   `json:"title"`
	GridPos    struct{ X, Y, W, H int } `json:"gridPos"`
	Datasource *struct{ UID string }    `json:"datasource"`
	Targets    []struct {
		Expr  string `json:"expr"`
		RefID string `json:"refId"`
	} `json:"targets"`
}

func TestDashboards(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "deploy/grafana/dashboards/*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	used := map[string]bool{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(data, &d); err != nil || d.UID == "" || len(d.Panels) < 10 {
			t.Fatalf("%s: %d panels, %v", path, len(d.Panels), err)
		}
		// Grafana fills in what begins with a dollar sign.
		fill := strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$queue", ".*", "$deployment", ".*", "$model_group", ".*")
		taken := map[[2]int]string{}
		ids := map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W == 0 || p.GridPos.H == 0 {
				t.Errorf("panel %d, %s: its number is taken, or it does not fit: %+v", p.ID, p.Title, p.GridPos)
			}
			ids[p.ID] = true
			for x := range p.GridPos.W {
				for y := range p.GridPos.H {
					at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
					if taken[at] != "" {
						t.Fatalf("%s lies on %s", p.Title, taken[at])
					}
					taken[at] = p.Title
				}
			}
			if p.Type == "row" {
				continue
			}
			if len(p.Targets) == 0 || p.Datasource == nil || p.Datasource.UID != "${datasource}" {
				t.Errorf("%s: no query, or another source than the one that is chosen", p.Title)
			}
			for _, target := range p.Targets {
				text := fill.Replace(target.Expr)
				query(t, p.Title, text)
				for name := range metrics {
					used[name] = used[name] || strings.Contains(text, name)
				}
			}
		}
		for _, v := range d.Templating.List {
			var values struct{ Query string }
			if v.Type != "query" {
				continue
			}
			if err := json.Unmarshal(v.Query, &values); err != nil {
				t.Errorf("%s: %v", v.Name, err)
			}
			inner := strings.TrimSuffix(strings.TrimPrefix(values.Query, "label_values("), ")")
			series, label, ok := strings.Cut(inner, ", ")
			has, there := labelsOf(series)
			if !ok || !there || !slices.Contains(has, label) {
				t.Errorf("variable %s: %s", v.Name, values.Query)
			}
		}
	}
	for name := range metrics {
		if !used[name] && name != "up" {
			t.Errorf("no panel shows %s", name)
		}
	}
}

func TestProvisioning(t *testing.T) {
	source := read(t, "deploy/grafana/provisioning/datasources/prometheus.yml")
	for _, want := range []string{"uid: prometheus", "http://prometheus:9090"} {
		if !strings.Contains(source, want) {
			t.Errorf("the data source lacks %s", want)
		}
	}
	if !strings.Contains(read(t, "deploy/grafana/provisioning/dashboards/pelton.yml"), "/var/lib/grafana/dashboards") ||
		!strings.Contains(read(t, "docker-compose.yml"), "./deploy/grafana/dashboards:/var/lib/grafana/dashboards") {
		t.Error("the dashboards are not where Grafana looks for them")
	}
}
