package litellm

import (
	"bytes"
	"encoding/json"
	"strings"

	"pelton/router/protocol"
)

// sent collects what of litellm_params is meant for bodies.
type sent struct {
	chats, embeddings map[string]json.RawMessage
}

func newSent() *sent {
	return &sent{map[string]json.RawMessage{}, map[string]json.RawMessage{}}
}

// chatParams are those of litellm_params that go into bodies of chats which lack
// them, embeddingParams the same for embeddings.
var (
	chatParams = words("temperature top_p top_k min_p max_tokens max_completion_tokens n stop seed presence_penalty " +
		"frequency_penalty repetition_penalty logit_bias logprobs top_logprobs user response_format reasoning_effort " +
		"verbosity service_tier parallel_tool_calls modalities thinking tools tool_choice functions function_call metadata prediction audio " +
		"web_search_options safety_identifier prompt_cache_key store stream_options")
	embeddingParams = words("dimensions encoding_format user input_type")
)

// ownParams are those of LiteLLM that no model is sent, and that mean nothing here.
var ownParams = words("merge_reasoning_content_in_choices use_in_pass_through use_litellm_proxy use_chat_completions_api " +
	"configurable_clientside_auth_params supports_system_message user_continue_message assistant_continue_message " +
	"ensure_alternating_roles roles bos_token eos_token final_prompt_value initial_prompt_value hf_model_name base_model " +
	"region_name allowed_model_region model_config fastest_response max_retries max_fallbacks cache cache_key caching caching_groups ttl " +
	"no-log allowed_openai_params litellm_trace_id litellm_session_id litellm_call_id litellm_metadata provider_specific_header " +
	"model_info stream mock_timeout force_timeout input_cost_per_second output_cost_per_second input_cost_per_character " +
	"output_cost_per_character input_cost_per_audio_token output_cost_per_audio_token input_cost_per_image output_cost_per_image " +
	"cache_control_injection_points langfuse_public_key langfuse_secret langfuse_secret_key langfuse_host langsmith_api_key " +
	"langsmith_project langsmith_base_url gcs_bucket_name gcs_path_service_account turn_off_message_logging disable_stop_sequence_limit " +
	"use_azure_managed_identity enable_azure_ad_token_refresh model_group_alias custom_tokenizer default_max_tokens " +
	"auto_router_config auto_router_config_path auto_router_default_model auto_router_embedding_model complexity_router_config " +
	"complexity_router_default_model s3_bucket_name s3_encryption_key_id aws_batch_role_arn api_type bucket_name vector_store_id " +
	"retry_policy max_file_size_mb litellm_system_prompt drop_params modify_params set_verbose verbose health_check_model")

// ownPrefixes begin the names of further ones, which belong to a service's way in.
var ownPrefixes = []string{"aws_", "s3_", "gcs_", "vertex_", "azure_", "watsonx_", "oci_", "sagemaker_", "langfuse_", "langsmith_", "litellm_", "input_cost_", "output_cost_", "cache_read_", "cache_creation_", "supports_", "gigachat_", "snowflake_", "databricks_"}

// bodyParam reads what goes into bodies; false means that e is something else. As in
// LiteLLM that is also whatever it has no name for.
func (l deploymentReader) bodyParam(e entry, to *sent) bool {
	chat, embedding := chatParams[e.key], embeddingParams[e.key]
	if !chat && !embedding {
		if !mayBeSent(e.key) {
			return false
		}
		if isNull(resolve(e.value)) {
			return true
		}
		l.warn(e.line, e.path, "is no parameter that Pelton knows: it is sent in bodies, as LiteLLM does")
		chat, embedding = true, true
	}
	value, ok := l.bodyValue(e)
	if ok && chat {
		to.chats[e.key] = value
	}
	if ok && embedding {
		to.embeddings[e.key] = value
	}
	return true
}

// mayBeSent reports whether a parameter that has no name here may be the model's:
// not what LiteLLM has for itself, nor what looks like a secret.
func mayBeSent(key string) bool {
	if ownParams[key] || strings.HasPrefix(key, "_") {
		return false
	}
	for _, prefix := range ownPrefixes {
		if strings.HasPrefix(key, prefix) {
			return false
		}
	}
	for _, secret := range []string{"key", "secret", "password", "credential"} {
		if strings.Contains(strings.ToLower(key), secret) {
			return false
		}
	}
	return true
}

// bodyValue makes JSON of a value, that of the variable where it is a reference;
// false for null, and for what was noted as a problem.
func (l *loader) bodyValue(e entry) (json.RawMessage, bool) {
	var value any
	if err := resolve(e.value).Decode(&value); err != nil {
		l.problem(e.line, e.path+": "+err.Error())
		return nil, false
	}
	if value == nil {
		return nil, false
	}
	if text, ok := value.(string); ok && strings.HasPrefix(text, envPrefix) {
		value, _ = l.text(e)
	}
	raw, err := json.Marshal(value)
	if err != nil {
		l.problem(e.line, e.path+": cannot be part of a body: "+protocol.OneLine(err.Error(), 200))
		return nil, false
	}
	return raw, true
}

// extraBody reads extra_body, whose members go into all bodies.
func (l deploymentReader) extraBody(section entry, to *sent) {
	for _, e := range l.mapping(section.value, section.path) {
		if value, ok := l.bodyValue(e); ok {
			to.chats[e.key], to.embeddings[e.key] = value, value
		}
	}
}

// object makes one object of members; nil where there are none.
func object(members map[string]json.RawMessage) json.RawMessage {
	if len(members) == 0 {
		return nil
	}
	raw, err := json.Marshal(members)
	if err != nil {
		return nil
	}
	return bytes.Clone(raw)
}
