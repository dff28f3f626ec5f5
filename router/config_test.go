package router

import (
	"slices"
	"strings"
	"testing"
)

func TestFromEnv(t *testing.T) {
	for name, tt := range map[string]struct {
		env  map[string]string
		base string // of the deployment, or a part of the error
	}{
		"key":            {map[string]string{"OPENAI_API_KEY": testKey}, "https://api.openai.com/v1"},
		"nothing":        {nil, "no key: set OPENAI_API_KEY, or OPENAI_BASE_URL for a server that needs none, or PELTON_CONFIG"},
		"empty":          {map[string]string{"OPENAI_API_KEY": " "}, "no key: set"},
		"own server":     {map[string]string{"OPENAI_BASE_URL": "http://127.0.0.1:8000/v1/"}, "http://127.0.0.1:8000/v1"},
		"default, said":  {map[string]string{"OPENAI_BASE_URL": "https://api.openai.com/v1/"}, "no key: set"},
		"bad":            {map[string]string{"OPENAI_BASE_URL": "localhost:8000"}, "OPENAI_BASE_URL must begin with"},
		"no scheme":      {map[string]string{"OPENAI_BASE_URL": "//h/v1"}, "OPENAI_BASE_URL must begin with"},
		"no host":        {map[string]string{"OPENAI_BASE_URL": "http://:80/v1"}, "names no host"},
		"query":          {map[string]string{"OPENAI_BASE_URL": "http://h/v1?a=b"}, "query"},
		"whole endpoint": {map[string]string{"OPENAI_BASE_URL": "http://h/v1/chat/completions"}, "must end before /chat/completions"},
		"control":        {map[string]string{"OPENAI_BASE_URL": "http://h/\x7f"}, "is no URL"},
	} {
		cfg, err := FromEnv(environ(tt.env))
		var got string
		if err != nil {
			got = err.Error()
		} else {
			got = cfg.Deployments[0].BaseURL
		}
		if !strings.HasPrefix(got, tt.base) && !strings.Contains(got, tt.base) {
			t.Errorf("%s: got %q, want %q", name, got, tt.base)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	negative := -1
	for name, cfg := range map[string]*Config{
		"no deployment is configured":                   {},
		"two deployments have the id \"a\"":             {Deployments: []Deployment{{ID: "a", Group: "g", Model: "m", BaseURL: "http://h"}, {ID: "a", Group: "h", Model: "m", BaseURL: "http://h"}}},
		"NumRetries, Timeout, FirstToken and NextToken": {NumRetries: &negative},
		"needs a group and a model":                     {Deployments: []Deployment{{BaseURL: "http://h"}}},
		"base URL must begin with":                      {Deployments: []Deployment{{Group: "g", Model: "m"}}},
		"timeout must not be negative":                  {Deployments: []Deployment{{Group: "g", Model: "m", BaseURL: "http://h", Timeout: -1}}},
		"holds 2 * and the group":                       {Deployments: []Deployment{{Group: "a/*", Model: "*/*", BaseURL: "http://h"}}},
		"is no header name":                             {Deployments: []Deployment{{Group: "g", Model: "m", BaseURL: "http://h", Headers: map[string]Secret{"a b": NewSecret("x")}}}},
		"key holds characters that no header":           {Deployments: []Deployment{{Group: "g", Model: "m", BaseURL: "http://h", APIKey: NewSecret("a\r\nb")}}},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGroups(t *testing.T) {
	at := func(group, model string) Deployment {
		return Deployment{Group: group, Model: model, BaseURL: "http://h/v1"}
	}
	r := start(t, &Config{Deployments: []Deployment{
		at("*", "*"), at("gpt-4o", "gpt-4o-2024"), at("openai/*", "*"), at("gpt-*", "x/gpt-*-y"), at("gpt-4o", "other"), at("fixed-*", "one"),
		at("a/*/b-*", "x-*-*"), at("c/*/*", "y/*"),
	}})
	for model, want := range map[string]string{
		"gpt-4o": "gpt-4o gpt-4o-2024", "openai/gpt-5": "openai/* gpt-5", "gpt-5": "gpt-* x/gpt-5-y", "gpt-": "* gpt-",
		"a/b/c": "* a/b/c", "fixed-9": "fixed-* one",
		"a/1/b-2": "a/*/b-* x-1-2", "a/1/b-2/b-3": "a/*/b-* x-1/b-2-3", "a//b-2": "* a//b-2", "a/1/b-": "* a/1/b-", "c/1/2/3": "c/*/* y/1/2",
		"gpt-4o-1": "gpt-4o-1 gpt-4o-2024", "gpt-4o-2": "gpt-4o-2 other",
	} {
		g, star := r.groups.match(model)
		if got := g.name + " " + g.members[0].modelFor(star); got != want {
			t.Errorf("%s: %s, want %s", model, got, want)
		}
	}
	if got := r.Groups(); !slices.Equal(got, []string{"*", "gpt-4o", "openai/*", "gpt-*", "fixed-*", "a/*/b-*", "c/*/*"}) {
		t.Errorf("groups: %v", got)
	}
	var ids []string
	for _, d := range r.Deployments() {
		ids = append(ids, d.ID)
	}
	if !slices.Equal(ids, []string{"any-1", "gpt-4o-1", "openai-1", "gpt-1", "gpt-4o-2", "fixed-1", "a//b-1", "c-1"}) {
		t.Errorf("ids: %v", ids)
	}
}
