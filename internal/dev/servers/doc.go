// Package servers runs real OpenAI-compatible servers, installed from their
// registries at pinned versions, and looks how the router does with them: see
// `make servers-test`.
package servers
