package gateway

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/schema"
)

// file is a file as OpenAI's API describes it.
type file struct {
	ID        string `json:"id"`
	Object    string `json:"object"`
	Bytes     int64  `json:"bytes"`
	CreatedAt int64  `json:"created_at"`
	ExpiresAt *int64 `json:"expires_at"`
	Filename  string `json:"filename"`
	Purpose   string `json:"purpose"`
	Status    string `json:"status"`
}

func fileOf(f *File) *file {
	return &file{f.ID, "file", f.Bytes, f.CreatedAt.Unix(), unix(f.ExpiresAt), f.Name, f.Purpose, "processed"}
}

// The purposes of the files that there are.
const (
	purposeBatch  = "batch"
	purposeOutput = "batch_output"
)

// form is what a client sends beside the bytes of a file. Its parts may come
// before the file or behind it.
type form struct {
	filename string
	fields   map[string]string
}

const (
	maxField    = 1 << 10
	maxFields   = 16
	maxFilename = 255
)

// upload streams a file into the store as it comes. It is there when all of the
// form has been read and found good, or not at all.
func (g *Gateway) upload(c *call) error {
	c.r.Body = c.body()
	parts, err := c.r.MultipartReader()
	if err != nil {
		return invalid("", "invalid_form", "An upload is a form (multipart/form-data) with the fields purpose and file: %v.", err)
	}
	f := &form{fields: map[string]string{}}
	part, err := f.next(parts)
	if err != nil {
		return err
	}
	if part == nil {
		return invalid("file", "missing_required_parameter", "Missing required parameter: 'file'.")
	}
	if f.fields["purpose"] != "" { // a large file is not taken in vain
		if err := f.checkPurpose(); err != nil {
			return err
		}
	}
	f.filename = clipName(part.FileName())
	content := &bounded{r: part, left: g.MaxFile, most: g.MaxFile}
	stored, err := g.files.Put(c.ctx, content, func() (File, error) {
		if more, err := f.next(parts); err != nil {
			return File{}, err
		} else if more != nil {
			return File{}, invalid("file", "invalid_value", "The form has two files; upload one at a time.")
		}
		return g.describeFile(c, f, content)
	})
	if err != nil {
		return broken(err)
	}
	g.Log.Info().Str("key", c.key.Name).Str("request", c.r.Header.Get(requestID)).Str("file", stored.ID).Int64("bytes", stored.Bytes).Msg("a file was uploaded")
	return c.answer(fileOf(stored))
}

// next reads fields up to the next file, nil when there is none.
func (f *form) next(parts *multipart.Reader) (*multipart.Part, error) {
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, broken(err)
		}
		name := part.FormName()
		if name == "file" {
			return part, nil
		}
		value, err := io.ReadAll(io.LimitReader(part, maxField+1))
		switch {
		case err != nil:
			return nil, broken(err)
		case name != "purpose" && name != "expires_after[anchor]" && name != "expires_after[seconds]":
			return nil, invalid(clip(name), "unknown_parameter", "Unknown parameter: '%s'.", clip(name))
		case len(value) > maxField || len(f.fields) >= maxFields:
			return nil, invalid(clip(name), "invalid_value", "'%s' is too long.", clip(name))
		}
		f.fields[name] = string(value)
	}
}

// broken is an upload that did not come to its end; errors that are ours stay.
func broken(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, multipart.ErrMessageTooLarge) ||
		strings.HasPrefix(err.Error(), "multipart: ") {
		return invalid("", "invalid_form", "The form is broken or breaks off: %v.", err)
	}
	return err
}

func (f *form) checkPurpose() error {
	switch purpose := f.fields["purpose"]; purpose {
	case purposeBatch:
		return nil
	case "":
		return invalid("purpose", "missing_required_parameter", "Missing required parameter: 'purpose'.")
	default:
		return invalid("purpose", "invalid_value", "Invalid value: '%s'. Supported values are: 'batch'.", clip(purpose))
	}
}

func (g *Gateway) describeFile(c *call, f *form, content *bounded) (File, error) {
	if err := f.checkPurpose(); err != nil {
		return File{}, err
	}
	if content.left == content.most {
		return File{}, invalid("file", "empty_file", "The file is empty.")
	}
	about := File{Name: f.filename, Purpose: purposeBatch, Owner: c.key.Name, Queue: c.key.Queue}
	anchor, hasAnchor := f.fields["expires_after[anchor]"]
	seconds, hasSeconds := f.fields["expires_after[seconds]"]
	if hasAnchor || hasSeconds {
		n, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			n = 0
		}
		after := expiry{Anchor: anchor, Seconds: n}
		if err := after.check("expires_after"); err != nil {
			return File{}, err
		}
		about.ExpiresAt = time.Now().Add(time.Duration(n) * time.Second)
	}
	return about, nil
}

// clipName makes a file's name fit to be told: its last element, of a bounded length.
func clipName(name string) string {
	if name == "" {
		return "upload.jsonl"
	}
	if len(name) > maxFilename {
		name = strings.ToValidUTF8(name[:maxFilename], "")
	}
	return strings.ToValidUTF8(name, "?")
}

// bounded fails when more is read than there may be.
type bounded struct {
	r          io.Reader
	left, most int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, &apiError{Status: http.StatusRequestEntityTooLarge, Param: "file", Code: "file_too_large",
			Message: "The file is larger than " + strconv.FormatInt(b.most, 10) + " bytes, the most that is taken here."}
	}
	return n, err
}

// anyFile is a file of either kind: uploaded, or read out of a job.
type anyFile struct {
	*file
	stored *File // nil: read out of a job
	view   *view
}

// findFile looks a file up, if it is there for the key.
func (g *Gateway) findFile(c *call) (*anyFile, error) {
	id := c.r.PathValue("id")
	if v, ok, err := g.viewNamed(c, id); ok {
		if errors.Is(err, jobs.ErrNotFound) || errors.Is(err, jobs.ErrAgedOut) {
			return nil, noFile(id)
		}
		if err != nil {
			return nil, err
		}
		return &anyFile{file: v.describe(), view: v}, nil
	}
	stored, err := g.files.Get(c.ctx, id)
	if errors.Is(err, jobs.ErrNotFound) || err == nil && !c.key.sees(stored.Queue, stored.Owner) {
		return nil, noFile(id)
	}
	if err != nil {
		return nil, err
	}
	return &anyFile{file: fileOf(stored), stored: stored}, nil
}

func (g *Gateway) getFile(c *call) error {
	f, err := g.findFile(c)
	if err != nil {
		return err
	}
	return c.answer(f.file)
}

func (g *Gateway) deleteFile(c *call) error {
	f, err := g.findFile(c)
	if err != nil {
		return err
	}
	if f.stored == nil {
		err = g.deleteView(c.ctx, f.view)
	} else {
		err = g.files.Remove(c.ctx, f.stored)
	}
	if err != nil {
		return err
	}
	g.Log.Info().Str("key", c.key.Name).Str("request", c.r.Header.Get(requestID)).Str("file", f.ID).Msg("a file was deleted")
	return c.answer(map[string]any{"id": f.ID, "object": "file", "deleted": true})
}

// listTime is for how long one page of a list looks how large outputs are. What
// it does not come to is on the next page.
const listTime = 2 * time.Second

// entry is a file of a list, described when its page is made.
type entry struct {
	id      string
	created time.Time
	stored  *File
	view    *view
}

func (g *Gateway) listFiles(c *call) error {
	const most = 10_000
	p, err := readPage(c, most, most)
	if err != nil {
		return err
	}
	entries, err := g.entries(c, c.r.URL.Query().Get("purpose"))
	if err != nil {
		return err
	}
	if p.ascending {
		slices.Reverse(entries)
	}
	if p.after != "" {
		from := slices.IndexFunc(entries, func(e entry) bool { return e.id == p.after })
		if from < 0 {
			return noFile(p.after)
		}
		entries = entries[from+1:]
	}
	out := list[*file]{Object: "list", Data: []*file{}}
	until := time.Now().Add(listTime)
	for _, e := range entries {
		if len(out.Data) == p.limit || len(out.Data) > 0 && time.Now().After(until) {
			out.HasMore = true
			break
		}
		if e.stored != nil {
			out.add(fileOf(e.stored), e.id)
			continue
		}
		switch err := g.measure(c.ctx, e.view); {
		case errors.Is(err, jobs.ErrAgedOut):
		case err != nil:
			return err
		default:
			out.add(e.view.describe(), e.id)
		}
	}
	return c.answer(out)
}

// entries are all files of the key with a purpose, newest first.
func (g *Gateway) entries(c *call, purpose string) ([]entry, error) {
	var all []entry
	if purpose == "" || purpose == purposeBatch {
		files, err := g.files.List(c.ctx)
		if err != nil {
			return nil, err
		}
		for i := range files {
			if f := &files[i]; c.key.sees(f.Queue, f.Owner) {
				all = append(all, entry{id: f.ID, created: f.CreatedAt, stored: f})
			}
		}
	}
	if purpose == "" || purpose == purposeOutput {
		states, err := g.visible(c)
		if err != nil {
			return nil, err
		}
		gone, err := g.files.AllGone(c.ctx)
		if err != nil {
			return nil, err
		}
		for i := range states {
			for _, v := range g.viewsOf(c, &states[i]) {
				if gone[store.JobKey{Queue: states[i].Queue, ID: v.id}] {
					continue
				}
				all = append(all, entry{id: v.id, created: *states[i].FinishedAt, view: v})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return b.created.Compare(a.created) })
	return all, nil
}

// getContent sends a file's bytes, or those of a range.
func (g *Gateway) getContent(c *call) error {
	if text := c.r.URL.Query().Get("pelton_partial"); text != "" {
		partial, err := strconv.ParseBool(text)
		if err != nil {
			return invalid("pelton_partial", "invalid_value", "pelton_partial must be true or false, not '%s'.", clip(text))
		}
		if partial {
			return g.soFar(c)
		}
	}
	f, err := g.findFile(c)
	if err != nil {
		return err
	}
	content := &seeker{size: f.Bytes}
	if f.stored != nil {
		content.open = func(at int64) io.ReadCloser { return g.files.Open(c.ctx, f.stored, at) }
	} else {
		content.open = func(at int64) io.ReadCloser { return skipping(f.view.read(c.ctx), at) }
	}
	defer content.Close()
	head := c.Header()
	head.Set("Content-Type", "application/octet-stream")
	head.Set("Content-Disposition", `attachment; filename="`+strings.Map(plain, f.Filename)+`"`)
	head.Set("Etag", `"`+f.ID+`"`) // what an id stands for does not change
	http.ServeContent(c, c.r, "", time.Unix(f.CreatedAt, 0), content)
	if content.err != nil {
		return errors.Join(errBegun, content.err)
	}
	return nil
}

// plain leaves the characters that a quoted header can hold.
func plain(r rune) rune {
	if r < ' ' || r > '~' || r == '"' || r == '\\' {
		return '_'
	}
	return r
}

// seeker is what http.ServeContent reads ranges from: it opens what it reads at
// the place where the reading begins.
type seeker struct {
	size, at int64
	open     func(at int64) io.ReadCloser
	r        io.ReadCloser
	err      error
}

// Seek implements io.Seeker.
func (s *seeker) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the begin")
	}
	if offset != s.at {
		s.Close()
	}
	s.at = offset
	return offset, nil
}

// Read implements io.Reader.
func (s *seeker) Read(p []byte) (int, error) {
	if s.at >= s.size {
		return 0, io.EOF
	}
	if s.r == nil {
		s.r = s.open(s.at)
	}
	n, err := s.r.Read(p)
	s.at += int64(n)
	if err != nil && (!errors.Is(err, io.EOF) || s.at < s.size) {
		s.err = err
	}
	return n, err
}

// Close ends the reading.
func (s *seeker) Close() {
	if s.r != nil {
		_ = s.r.Close()
		s.r = nil
	}
}

// skipping leaves the first n bytes out.
func skipping(r io.ReadCloser, n int64) io.ReadCloser { return &skipper{r, n} }

type skipper struct {
	io.ReadCloser
	left int64
}

func (s *skipper) Read(p []byte) (int, error) {
	if s.left > 0 {
		if _, err := io.CopyN(io.Discard, s.ReadCloser, s.left); err != nil {
			return 0, err
		}
		s.left = 0
	}
	return s.ReadCloser.Read(p)
}

// viewsOf are the files that can be read out of an ended job.
func (g *Gateway) viewsOf(c *call, s *schema.State) []*view {
	if !s.State.Final() || s.FinishedAt == nil {
		return nil
	}
	b := batchOf(s, false, g.Store.LongestDeadline())
	var list []*view
	for _, id := range []*string{b.OutputFileID, b.ErrorFileID} {
		if id != nil {
			list = append(list, &view{g: g, h: c.client(g).Job(s.Queue, s.ID), state: s, id: *id, kind: kindOf(*id)})
		}
	}
	return list
}
