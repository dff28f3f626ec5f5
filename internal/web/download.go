package web

import (
	"bufio"
	"net/http"
	"time"

	"pelton/schema"
)

// download streams the results that are there as JSONL: in the order of
// completion, or of the input where the job has ended and ?order=input says so.
// Results that could not be read end it, so that the client sees that it is cut.
func (p *Page) download(w http.ResponseWriter, r *http.Request) {
	h := p.client.Job(r.PathValue("queue"), r.PathValue("job"))
	state, err := h.State(r.Context())
	if err != nil {
		p.failed(w, r, err)
		return
	}
	results := h.SoFar(r.Context())
	if r.URL.Query().Get("order") == "input" && state.State.Final() {
		results = h.Stored(r.Context(), schema.OrderInput)
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Content-Disposition", `attachment; filename="`+state.ID+`.jsonl"`) // ids are letters, digits, - and _
	out := bufio.NewWriterSize(slowly{w, http.NewResponseController(w)}, 64<<10)
	for result, err := range results {
		if err != nil {
			p.log.Debug().Err(err).Str("job", state.ID).Msg("a download was cut off")
			panic(http.ErrAbortHandler)
		}
		_, err = out.Write(result.JSON)
		if err == nil {
			err = out.WriteByte('\n')
		}
		if err != nil {
			return // the browser has gone
		}
	}
	_ = out.Flush()
}

// slowly gives every piece a time of its own: a download may take long, and one
// that does not move ends.
type slowly struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s slowly) Write(p []byte) (int, error) {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return s.w.Write(p)
}
