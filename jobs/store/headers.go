package store

import "pelton/jobs/store/internal/jet"

// HeaderText makes any text fit a header: control characters and the percent
// sign are percent-encoded.
func HeaderText(s string) string { return jet.HeaderText(s) }

// HeaderValue undoes [HeaderText].
func HeaderValue(s string) string { return jet.HeaderValue(s) }

// TraceText returns a W3C traceparent, and nothing of what is none: it becomes a
// header of a call.
func TraceText(s string) string { return jet.TraceText(s) }
