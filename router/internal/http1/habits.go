package http1

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// How long a connection that nobody uses is used again, where nothing is known of
// its server: less than any known server keeps one that says nothing of it
// (gunicorn, 2 s). A fresh one to a server without TLS costs little.
const firstLife = 1500 * time.Millisecond

// settled is how long after a streamed answer a server has closed its connection
// if it does so without a word, as llama.cpp does; until one was seen to be
// kept, none is used before.
const settled = 20 * time.Millisecond

// distrust is for how long a server that closed a connection right after an
// answer is taken to do so always.
const distrust = time.Minute

// habits are what a server was seen to do with connections that nobody uses. The
// lock of its idle connections guards them.
type habits struct {
	announced time.Duration // by Keep-Alive: timeout=; 0: nothing
	seen      time.Duration // how long it keeps them, as far as was seen; 0: nothing was
	watched   bool          // seen comes of a connection that was watched for this

	streams endOfStream
	until   time.Time // when streams is forgotten, where that is closes
}

// endOfStream is what a server does with the connection of a streamed answer.
type endOfStream int

const (
	unknown endOfStream = iota
	keeps
	closes
)

// life is how long a connection is used after its last call: less than the
// server keeps it, for its clock began to run first, and a request is on its way
// for a while. What was seen is once; a server that looks now and then (gunicorn,
// each second) closes the next one sooner.
func (h *habits) life() time.Duration {
	announced, seen := h.announced-h.announced/5, h.seen/2
	switch {
	case announced > 0 && seen > 0:
		return min(announced, seen)
	case announced > 0 || seen > 0:
		return max(announced, seen)
	}
	return firstLife
}

// closed notes that the server has closed a connection of such an age, or sooner.
func (h *habits) closed(now time.Time, age time.Duration, streamed bool) {
	switch {
	case streamed && (h.streams == unknown || age < settled):
		if h.streams == keeps { // it may have been restarted
			h.streams = unknown
			return
		}
		h.streams, h.until = closes, now.Add(distrust)
	case age < settled: // it has ended, rather
	case h.seen == 0 || age < h.seen:
		h.seen, h.watched = age, false
	}
}

// afterStream is what is to be expected of a connection after a streamed answer.
func (h *habits) afterStream(now time.Time) endOfStream {
	if h.streams == closes && now.After(h.until) {
		h.streams = unknown
	}
	return h.streams
}

// keepAlive is the timeout that a Keep-Alive header announces; 0: none.
func keepAlive(header http.Header) time.Duration {
	for _, value := range header["Keep-Alive"] {
		for part := range strings.SplitSeq(value, ",") {
			name, text, _ := strings.Cut(part, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "timeout") {
				continue
			}
			if n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31); err == nil {
				return max(time.Duration(n)*time.Second, 1) // 0: at once
			}
		}
	}
	return 0
}
