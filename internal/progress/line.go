package progress

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"

	"pelton/internal/human"
	"pelton/schema"
)

// part is one piece of the progress line.
type part struct {
	text string
	rank int // the highest goes first when the line is too long
	bad  bool
}

// parts are what there is to say about the latest state.
func (p *Printer) parts() []part {
	s := p.state
	done, total := s.Counts.Stored()+p.o.Before, s.Total+p.o.Before
	list := []part{{text: number(done) + "/" + number(total)}}
	if s.State == schema.Queued {
		return append(list, part{text: "waiting to start", rank: 1})
	}
	count := func(n int, what string, rank int) {
		if n > 0 {
			list = append(list, part{text: number(n) + " " + what, rank: rank, bad: true})
		}
	}
	count(s.Counts.Failed, "failed", 1)
	count(s.Counts.Cancelled, "cancelled", 2)
	count(s.Counts.Expired, "expired", 2)
	if !s.State.Final() {
		list = append(list, part{text: number(s.InFlight) + " in flight", rank: 4})
	}
	for _, w := range s.Waiting {
		list = append(list, part{text: human.Waiting(w, p.o.Now(), number), rank: 3})
	}
	count(s.Isolated, "isolated", 4)
	if s.Rate > 0 {
		list = append(list, part{text: rate(s.Rate), rank: 3})
	}
	if s.Usage != nil {
		if tokens := s.Usage.PromptTokens + s.Usage.CompletionTokens; tokens > 0 {
			list = append(list, part{text: human.AtLeast(s.Bill().UsageAtLeast(), short(tokens)+" tokens"), rank: 5})
		}
	}
	if s.ETASeconds != nil && !s.State.Final() {
		left := time.Duration(*s.ETASeconds*float64(time.Second)) - p.o.Now().Sub(p.at)
		list = append(list, part{text: duration(max(left, 0)) + " left", rank: 2})
	}
	return list
}

func (p *Printer) plainLine() string {
	var texts []string
	for _, part := range p.parts() {
		texts = append(texts, part.text)
	}
	return "progress: " + strings.Join(texts, ", ")
}

// Columns of the bar itself.
const (
	minBar = 10
	maxBar = 40
	around = 10 // the percentage, the ends of the bar and the spaces
)

// barLine draws the line anew, in place of the last one. It leaves the last
// column free: terminals go to the next line behind it.
func (p *Printer) barLine() string {
	width := p.o.Width() - 1
	list := p.parts()
	text := func() int {
		n := 2 * (len(list) - 1)
		for _, part := range list {
			n += utf8.RuneCountInString(part.text)
		}
		return n
	}
	for len(list) > 1 && around+minBar+text() > width {
		worst := slices.MaxFunc(list, func(a, b part) int { return a.rank - b.rank })
		list = slices.DeleteFunc(list, func(x part) bool { return x == worst })
	}
	texts := make([]string, len(list))
	for i, part := range list {
		texts[i] = part.text
		if part.bad && !p.o.NoColor {
			texts[i] = "\033[31m" + part.text + "\033[0m"
		}
	}
	described := strings.Join(texts, ", ")
	bar := min(maxBar, width-around-text())
	if bar < 3 { // no room for one
		line := []rune(list[0].text)
		return clearLine + string(line[:min(len(line), max(width, 0))])
	}
	// A bar of the library belongs to one width and one writer, and finishes by
	// itself: a new one for each drawing depends on nothing but the state.
	done, total := p.state.Counts.Stored()+p.o.Before, p.state.Total+p.o.Before
	var out bytes.Buffer
	drawing := progressbar.NewOptions64(int64(max(total, 1)),
		progressbar.OptionSetWriter(&out),
		progressbar.OptionSetWidth(bar),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "=", SaucerHead: ">", SaucerPadding: " ", BarStart: "[", BarEnd: "]"}),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionSetDescription(described),
		progressbar.OptionSetRenderBlankState(true), // Set64 draws only from 1 % on
	)
	_ = drawing.Set64(int64(min(done, total)))
	line := strings.ReplaceAll(out.String(), "\033[0K", "")
	line = strings.Trim(line[strings.LastIndexByte(line, '\r')+1:], " ")
	return clearLine + strings.ReplaceAll(line, "]  ", "] ")
}

// number is n with its thousands apart: 1,319.
func number(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// short is n with two or three digits that count: 12.3k, 4.5M.
func short(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= unit.size {
			return strconv.FormatFloat(float64(n/(unit.size/10))/10, 'f', 1, 64) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func rate(perSecond float64) string {
	switch {
	case perSecond >= 10:
		return number(int(perSecond+0.5)) + "/s"
	case perSecond >= 0.2:
		return strconv.FormatFloat(perSecond, 'f', 1, 64) + "/s"
	default:
		return strconv.FormatFloat(60*perSecond, 'f', 1, 64) + "/min"
	}
}

// duration is d in its two largest units: 1m 12s.
func duration(d time.Duration) string {
	seconds := int(d.Round(time.Second) / time.Second)
	two := func(a int, unit string, b int, small string) string {
		if b == 0 {
			return strconv.Itoa(a) + unit
		}
		return strconv.Itoa(a) + unit + " " + strconv.Itoa(b) + small
	}
	switch {
	case d < 10*time.Second && d > 0:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	case seconds < 60:
		return strconv.Itoa(seconds) + "s"
	case seconds < 3600:
		return two(seconds/60, "m", seconds%60, "s")
	case seconds < 24*3600:
		return two(seconds/3600, "h", seconds%3600/60, "m")
	default:
		return two(seconds/86400, "d", seconds%86400/3600, "h")
	}
}
