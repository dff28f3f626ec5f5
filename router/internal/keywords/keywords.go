// Package keywords takes out of a request's body what LiteLLM's router reads there
// itself and no model does: how often to try, where else, for how long.
package keywords

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// Keywords are what a body says to the router. The zero value says nothing.
type Keywords struct {
	Tags       []string
	NumRetries *int          // retries after the first attempt; nil: not said
	Timeout    time.Duration // of one attempt; 0: not said
	Drop       []string      // parameters to leave out
	Skip       bool          // the group asked for is to be taken as failing

	// Fallbacks are in the place of the configuration's; nil: not said.
	Fallbacks, ContextWindow, ContentPolicy *Fallbacks
}

// Fallbacks are a list for whatever group was asked for, or lists by group.
type Fallbacks struct {
	List    []Fallback
	ByGroup map[string][]Fallback
}

// Of returns those of the first of the names that has any.
func (f *Fallbacks) Of(names ...string) []Fallback {
	if f.List != nil {
		return f.List
	}
	for _, name := range append(names, "*") {
		if list, ok := f.ByGroup[name]; ok {
			return list
		}
	}
	return nil
}

// Fallback is a model to try instead, with what its body is to say otherwise.
type Fallback struct {
	Model  string
	Fields json.RawMessage // an object of members that replace the body's; nil: none
}

// Known reports whether a member of a body may be a keyword. It makes no memory.
func Known(key []byte) bool {
	switch string(key) {
	case "metadata", "litellm_metadata", "tags", "num_retries", "timeout", "request_timeout",
		"fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "additional_drop_params", "mock_testing_fallbacks":
		return true
	}
	return unused(key) || refused(key) != ""
}

// unused reports whether a keyword has no meaning here and goes nowhere.
func unused(key []byte) bool {
	switch string(key) {
	case "cache", "caching", "caching_groups", "ttl", "preset_cache_key", "cache_key", "no-log", "litellm_call_id",
		"litellm_trace_id", "litellm_session_id", "litellm_logging_obj", "max_retries", "max_fallbacks", "stream_timeout",
		"force_timeout", "cooldown_time", "drop_params", "allowed_openai_params", "model_info", "proxy_server_request",
		"verbose", "logger_fn", "base_model", "context_window_fallback_dict", "retry_strategy", "turn_off_message_logging":
		return true
	}
	return false
}

// refused says what a keyword would do that is not done here; empty: it is none.
func refused(key []byte) string {
	switch string(key) {
	case "guardrails":
		return "no guardrail looks at requests here"
	case "mock_response", "mock_timeout", "mock_testing_rate_limit_error",
		"mock_testing_content_policy_fallbacks", "mock_testing_context_window_fallbacks":
		return "set mock_response in the deployment's litellm_params instead"
	case "api_key", "api_base", "base_url", "user_config", "model_list", "litellm_credential_name":
		return "where a request goes and with which key is the configuration's to say"
	case "prompt_id", "prompt_variables":
		return "no prompt is looked up here"
	}
	return ""
}

// Take returns body without its keywords, and these. A body that has none is
// returned as it is. The error is for the one who wrote the body.
func Take(body []byte) ([]byte, Keywords, error) {
	var k Keywords
	var bad error
	rest, found := append(make([]byte, 0, len(body)), '{'), false
	_, valid := rawjson.Object(body, func(key, value []byte) {
		name := rawjson.Key(key)
		if bad != nil {
			return
		}
		if Known(name) && rawjson.IsNull(value) && string(name) != "metadata" {
			found = true
			return
		}
		if Known(name) {
			left, took, err := k.take(string(name), value)
			if err != nil {
				bad = fmt.Errorf("%s: %w", name, err)
			}
			if found = found || took; left == nil {
				return
			}
			value = left
		}
		rest = translate.AppendMember(rest, key, value)
	})
	if bad != nil {
		return nil, Keywords{}, bad
	}
	if !valid || !found {
		return body, k, nil
	}
	return append(rest, '}'), k, nil
}

// take reads one keyword. left is what stays in the body of it, nil for nothing.
func (k *Keywords) take(name string, value []byte) (left []byte, took bool, err error) {
	if why := refused([]byte(name)); why != "" {
		return nil, true, fmt.Errorf("is not carried out: %s", why)
	}
	switch name {
	case "metadata":
		return k.metadata(value)
	case "litellm_metadata":
		_, _, err = k.metadata(value)
	case "tags":
		k.Tags, err = appendTags(k.Tags, value)
	case "num_retries":
		var n int
		if err = json.Unmarshal(value, &n); err == nil && (n < 0 || n > 100) {
			err = fmt.Errorf("must be from 0 to 100")
		}
		k.NumRetries = &n
	case "timeout", "request_timeout":
		var seconds float64
		if err = json.Unmarshal(value, &seconds); err == nil && !(seconds > 0 && seconds < 1e7) {
			err = fmt.Errorf("must be a number of seconds above 0")
		}
		k.Timeout = time.Duration(seconds * float64(time.Second))
	case "additional_drop_params":
		err = json.Unmarshal(value, &k.Drop)
	case "mock_testing_fallbacks":
		err = json.Unmarshal(value, &k.Skip)
	case "fallbacks":
		k.Fallbacks, err = readFallbacks(value)
	case "context_window_fallbacks":
		k.ContextWindow, err = readFallbacks(value)
	case "content_policy_fallbacks":
		k.ContentPolicy, err = readFallbacks(value)
	}
	return nil, true, err
}

// metadata takes the tags out of metadata. What else is in it may be meant for the
// model's server, and stays.
func (k *Keywords) metadata(value []byte) (left []byte, took bool, err error) {
	var members map[string]json.RawMessage
	if rawjson.IsObject(value) {
		_ = json.Unmarshal(value, &members) // an object is one
	}
	if !rawjson.IsArray(members["tags"]) {
		return value, false, nil
	}
	if k.Tags, err = appendTags(k.Tags, members["tags"]); err != nil {
		return nil, true, err
	}
	if delete(members, "tags"); len(members) == 0 {
		return nil, true, nil
	}
	left, err = json.Marshal(members)
	return left, true, err
}

func appendTags(tags []string, value []byte) ([]string, error) {
	var more []string
	if err := json.Unmarshal(value, &more); err != nil {
		return nil, fmt.Errorf("tags must be a list of texts")
	}
	for _, tag := range more {
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

// readFallbacks reads [model, {"model": …, …}, …], or [{group: [model, …]}, …].
func readFallbacks(value []byte) (*Fallbacks, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(value, &list); err != nil {
		return nil, fmt.Errorf("must be a list of models, or of {group: [models]}")
	}
	f := &Fallbacks{}
	for _, raw := range list {
		var groups map[string]json.RawMessage
		if rawjson.IsObject(raw) && json.Unmarshal(raw, &groups) == nil && groups["model"] == nil {
			if f.ByGroup == nil {
				f.ByGroup = map[string][]Fallback{}
			}
			for group, members := range groups {
				var models []json.RawMessage
				if err := json.Unmarshal(members, &models); err != nil {
					return nil, fmt.Errorf("those of %q must be a list of models", group)
				}
				for _, model := range models {
					one, err := ReadFallback(model)
					if err != nil {
						return nil, err
					}
					f.ByGroup[group] = append(f.ByGroup[group], one)
				}
			}
			continue
		}
		one, err := ReadFallback(raw)
		if err != nil {
			return nil, err
		}
		f.List = append(f.List, one)
	}
	if f.List == nil && f.ByGroup == nil {
		f.List = []Fallback{} // none, instead of the configuration's
	}
	return f, nil
}

// ReadFallback reads a model's name, or an object with a model and what else the
// body is to say there.
func ReadFallback(raw []byte) (Fallback, error) {
	if name := rawjson.Text(raw); name != "" {
		return Fallback{Model: name}, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || rawjson.Text(members["model"]) == "" {
		return Fallback{}, fmt.Errorf("a fallback must be a model's name, or an object with a model")
	}
	one := Fallback{Model: rawjson.Text(members["model"])}
	delete(members, "model")
	if len(members) == 0 {
		return one, nil
	}
	var err error
	one.Fields, err = json.Marshal(members)
	return one, err
}
