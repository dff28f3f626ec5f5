package litellm

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// hints say what to do instead of a setting that is not used.
var hints = map[string]string{
	"redis_host":      "; workers share limits and cooldowns over NATS",
	"redis_url":       "; workers share limits and cooldowns over NATS",
	"redis_port":      "; workers share limits and cooldowns over NATS",
	"redis_password":  "; workers share limits and cooldowns over NATS",
	"max_retries":     "; num_retries counts",
	"max_fallbacks":   "; no group is tried twice",
	"retry_after":     "; back-off and the upstream's word decide",
	"modify_params":   "; bodies go out as they came",
	"set_verbose":     "; see PELTON_LOG_LEVEL",
	"cache":           "; answers are not cached",
	"cache_responses": "; answers are not cached",
}

// guardedBy are the settings that guard money, data or safety and are not carried
// out here, with what they would have done. A file that relies on one is refused,
// unless whoever starts Pelton says that it may go without.
var guardedBy = map[string]string{
	"guardrails":                           "what it would mask or refuse goes out as it is",
	"policies":                             "what its guardrails would mask or refuse goes out as it is",
	"policy_attachments":                   "what its guardrails would mask or refuse goes out as it is",
	"prompt_id":                            "the prompt that it names is not sent",
	"tag_budget_config":                    "no tag's spending is bounded",
	"banned_keywords_list":                 "what holds them is sent",
	"blocked_user_list":                    "their requests are sent",
	"custom_guardrail":                     "what it would mask or refuse goes out as it is",
	"llamaguard_unsafe_content_categories": "nothing is looked at",
}

// guardingCallbacks are the callbacks that mask or refuse, by a part of their names.
var guardingCallbacks = words("hide_secrets presidio lakera_prompt_injection llmguard_moderations llamaguard_moderations " +
	"google_text_moderation azure_content_safety aporia_prompt_injection detect_prompt_injection banned_keywords " +
	"blocked_user_check openai_moderations")

// guards reads a setting that is not carried out and matters; false means that e
// is none.
func (l *loader) guards(e entry) bool {
	switch e.key {
	case "callbacks", "input_callback", "service_callback":
		if resolve(e.value).Kind != yaml.SequenceNode {
			return false
		}
		names := slices.DeleteFunc(l.names(e), func(name string) bool { return !guardingCallbacks[name] })
		if len(names) == 0 {
			return false
		}
		for _, name := range names {
			l.guard(entry{key: name, path: e.path, line: e.line}, "what it would mask or refuse goes out as it is")
		}
		return true
	}
	why, ok := guardedBy[e.key]
	if !ok || isNull(resolve(e.value)) {
		return false
	}
	l.guard(e, why)
	return true
}

// guard notes that a setting that matters is not carried out.
func (l *loader) guard(e entry, why string) {
	if l.accepted[e.key] {
		l.unused(e, ", which was accepted: "+why)
		return
	}
	l.problem(e.line, fmt.Sprintf("%s: Pelton does not carry out %s: %s. Take it out, or start with --accept-unused %s", e.path, e.key, why, e.key))
}

// otherSection reads a section that LiteLLM's proxy has for itself.
func (l *loader) otherSection(e entry) {
	switch {
	case e.key == "pelton_settings":
	case e.key == "guardrails":
		l.guardrails(e)
	case l.guards(e):
	default:
		l.unused(e, "")
	}
}

// guardrails reads the section of that name. Those that are on for every request
// guard every request; the others do what a request asks for by name, and such a
// request is refused.
func (l *loader) guardrails(section entry) {
	list := resolve(section.value)
	always := false
	for _, node := range list.Content {
		always = always || l.alwaysOn(node)
	}
	if always {
		l.guard(section, guardedBy["guardrails"])
		return
	}
	l.unused(section, "; a request that asks for one is refused")
}

func (l *loader) alwaysOn(node *yaml.Node) bool {
	if n := resolve(node); n.Kind != yaml.MappingNode {
		return false
	}
	for _, e := range l.mapping(node, "guardrails") {
		if e.key == "default_on" && resolve(e.value).Kind == yaml.ScalarNode && strings.EqualFold(resolve(e.value).Value, "true") {
			return true
		}
		if resolve(e.value).Kind == yaml.MappingNode && l.alwaysOn(e.value) {
			return true
		}
	}
	return false
}
