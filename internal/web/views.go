package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"pelton/jobs"
	"pelton/jobs/board"
	"pelton/schema"
)

// perPage is how many rows a view shows.
const perPage = 50

// searchFor is how long one step of a search may take.
const searchFor = 100 * time.Millisecond

var phases = []schema.Phase{schema.Queued, schema.Running, schema.Succeeded, schema.CompletedWithErrors,
	schema.Failed, schema.Cancelled, schema.Expired}

var statuses = []schema.Status{schema.StatusSucceeded, schema.StatusFailed, schema.StatusCancelled, schema.StatusExpired}

// jobsView is the list of jobs.
type jobsView struct {
	Jobs     []*schema.State
	Filter   board.JobFilter
	State    schema.Phase
	Phases   []schema.Phase
	Queues   []string
	Counts   []phaseCount // of all jobs, whatever is shown
	Matching int
	First    int // of the rows, from 1
	Last     int
	Newer    string // links; empty: there are none
	Older    string
	Trouble  string
	Now      time.Time
}

type phaseCount struct {
	State schema.Phase
	Count int
}

func (p *Page) jobs(ctx context.Context, r *http.Request) (*content, error) {
	b, err := p.Board(ctx)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	v := &jobsView{Filter: board.JobFilter{Queue: q.Get("queue"), ID: strings.TrimSpace(q.Get("id"))}, Phases: phases, Now: time.Now()}
	if state := schema.Phase(q.Get("state")); slices.Contains(phases, state) {
		v.State, v.Filter.States = state, []schema.Phase{state}
	}
	offset := number(q.Get("from"))
	v.Jobs, v.Matching = b.Jobs(v.Filter, offset, perPage)
	v.First, v.Last = offset+1, offset+len(v.Jobs)
	if offset > 0 {
		v.Newer = link(r.URL.Path, q, "from", positive(offset-perPage))
	}
	if v.Last < v.Matching {
		v.Older = link(r.URL.Path, q, "from", positive(offset+perPage))
	}
	counts := map[schema.Phase]int{}
	for _, t := range b.Totals() {
		v.Queues = append(v.Queues, t.Queue)
		for state, n := range t.Jobs {
			counts[state] += n
		}
	}
	for _, state := range phases {
		if counts[state] > 0 {
			v.Counts = append(v.Counts, phaseCount{state, counts[state]})
		}
	}
	if err := b.Trouble(); err != nil {
		v.Trouble = err.Error()
	}
	return &content{Title: "Jobs", Nav: "jobs", View: "jobs", Live: true, Data: v}, nil
}

// jobView is one job with some of its requests.
type jobView struct {
	*schema.State
	Home     string // the job's path
	Rows     []row
	Searched bool
	Search   jobs.Search
	Statuses []schema.Status
	From     int
	Last     int
	Back     string
	More     string // the next rows, or where the search goes on
	Looked   int    // results that this step of the search looked at
	Now      time.Time
}

// row is one request of a job.
type row struct {
	Index  int
	Result *schema.Result // nil: there is none
	Home   string
}

func (p *Page) job(ctx context.Context, r *http.Request) (*content, error) {
	h := p.client.Job(r.PathValue("queue"), r.PathValue("job"))
	state, err := p.state(ctx, h)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	v := &jobView{State: state, Home: jobPath(h), Statuses: statuses, From: number(q.Get("from")), Now: time.Now(),
		Search: jobs.Search{Status: schema.Status(q.Get("status")), Code: q.Get("code"), CustomID: strings.TrimSpace(q.Get("custom_id"))}}
	v.Search.After, _ = strconv.ParseUint(q.Get("after"), 10, 64)
	v.Searched = v.Search.Status != "" || v.Search.Code != "" || v.Search.CustomID != ""
	indexes := v.inOrder(r, q)
	if v.Searched {
		if indexes, err = v.find(ctx, h, r, q); err != nil {
			return nil, err
		}
	}
	results, err := h.At(ctx, indexes)
	if err != nil {
		return nil, err
	}
	for i, index := range indexes {
		v.Rows = append(v.Rows, row{index, results[i], v.Home + "/requests/" + strconv.Itoa(index)})
	}
	return &content{Title: state.ID, Nav: "jobs", View: "job", Live: !state.State.Final(), Data: v}, nil
}

// state is a job's newest: what the board heard of a running one is newer than
// its record. The board knows no metadata, which is not shown.
func (p *Page) state(ctx context.Context, h *jobs.Handle) (*schema.State, error) {
	state, err := h.State(ctx)
	if err != nil || state.State.Final() {
		return state, err
	}
	b, err := p.Board(ctx)
	if err != nil {
		return nil, err
	}
	if heard := b.Job(h.Queue(), h.ID()); heard != nil && heard.UpdatedAt.After(state.UpdatedAt) {
		return heard, nil
	}
	return state, nil
}

// inOrder are the indexes of a page of the job, in input order.
func (v *jobView) inOrder(r *http.Request, q url.Values) []int {
	v.From = min(v.From, max(0, v.Total-1))
	v.Last = min(v.From+perPage, v.Total) - 1
	var indexes []int
	for i := v.From; i <= v.Last; i++ {
		indexes = append(indexes, i)
	}
	if v.From > 0 {
		v.Back = link(r.URL.Path, q, "from", positive(v.From-perPage))
	}
	if v.Last < v.Total-1 {
		v.More = link(r.URL.Path, q, "from", positive(v.From+perPage))
	}
	return indexes
}

func (v *jobView) find(ctx context.Context, h *jobs.Handle, r *http.Request, q url.Values) ([]int, error) {
	found, err := h.Find(ctx, v.Search, perPage, searchFor)
	v.Back, v.More, v.Looked = "", "", found.Looked
	if v.Search.After > 0 {
		v.Back = link(r.URL.Path, q, "after", "")
	}
	if found.Next > 0 {
		v.More = link(r.URL.Path, q, "after", strconv.FormatUint(found.Next, 10))
	}
	return found.Indexes, err
}

// requestView is one request with all that is known of it.
type requestView struct {
	*schema.State
	Home   string // the job's path
	Index  int
	Result *schema.Result
	Body   string // of the answer
	Asked  string // the request's own, where the job keeps it
	Back   string
	More   string
}

func (p *Page) request(ctx context.Context, r *http.Request) (*content, error) {
	h := p.client.Job(r.PathValue("queue"), r.PathValue("job"))
	state, err := p.state(ctx, h)
	if err != nil {
		return nil, err
	}
	index, err := strconv.Atoi(r.PathValue("index"))
	if err != nil || index < 0 || index >= state.Total {
		return nil, notFound{fmt.Errorf("job %s has no request %s: its indexes go from 0 to %d", state.ID, r.PathValue("index"), state.Total-1)}
	}
	results, err := h.At(ctx, []int{index})
	if err != nil {
		return nil, err
	}
	v := &requestView{State: state, Home: jobPath(h), Index: index, Result: results[0]}
	if v.Result != nil {
		v.Asked = indented(v.Result.Request)
		if v.Result.Response != nil {
			v.Body = indented(v.Result.Response.Body)
		}
	}
	if index > 0 {
		v.Back = v.Home + "/requests/" + strconv.Itoa(index-1)
	}
	if index < state.Total-1 {
		v.More = v.Home + "/requests/" + strconv.Itoa(index+1)
	}
	title := fmt.Sprintf("Request %d of %s", index, state.ID)
	return &content{Title: title, Nav: "jobs", View: "request", Live: v.Result == nil && !state.State.Final(), Data: v}, nil
}

// fleetView is what the workers say of themselves.
type fleetView struct {
	Workers     []Worker
	Deployments []Deployment
	Now         time.Time
}

func (p *Page) fleet(ctx context.Context) (*fleetView, error) {
	workers, err := p.survey.Workers(ctx)
	if err != nil {
		return nil, err
	}
	return &fleetView{Workers: workers, Deployments: merge(workers), Now: time.Now()}, nil
}

func (p *Page) deployments(ctx context.Context, _ *http.Request) (*content, error) {
	v, err := p.fleet(ctx)
	return &content{Title: "Deployments", Nav: "deployments", View: "deployments", Live: true, Data: v}, err
}

func (p *Page) workers(ctx context.Context, _ *http.Request) (*content, error) {
	v, err := p.fleet(ctx)
	return &content{Title: "Workers", Nav: "workers", View: "workers", Live: true, Data: v}, err
}

// number reads a count from a query; what is none is 0.
func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return max(0, n)
}

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// link is a path with a query in which one value differs; an empty one is left out.
func link(path string, q url.Values, name, value string) string {
	changed := url.Values{}
	for key, values := range q {
		if key != name && cmp.Or(values...) != "" {
			changed[key] = values
		}
	}
	if value != "" {
		changed.Set(name, value)
	}
	if len(changed) == 0 {
		return path
	}
	return path + "?" + changed.Encode()
}
