// Package webhook delivers messages to the webhooks of the configuration, signed
// as Standard Webhooks has it: who receives one can tell that it is ours, and
// that it is no repetition of an old one.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Hooks are the configured webhooks. They are safe for concurrent use.
type Hooks struct {
	all    map[string]hook
	client *http.Client
}

type hook struct {
	url string // may hold a token
	key []byte
}

// Timing and bounds of one delivery.
const (
	sendTime    = 15 * time.Second
	mostAnswer  = 64 << 10
	shortestKey = 24 // bytes, as the standard asks
	longestKey  = 64
)

// Option changes the webhooks.
type Option func(*Hooks)

// WithTimeout bounds one delivery, in the place of 15 s.
func WithTimeout(d time.Duration) Option { return func(h *Hooks) { h.client.Timeout = d } }

// New reads urls ("name=https://…,other=https://…") and secrets
// ("name=whsec_…,other=whsec_…"): each webhook needs both. Empty texts give no
// webhooks. No error repeats an address or a secret.
func New(urls, secrets string, options ...Option) (*Hooks, error) {
	h := &Hooks{all: map[string]hook{}, client: &http.Client{
		Timeout: sendTime,
		// A redirect would take the message to an address that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableKeepAlives: true},
	}}
	for _, option := range options {
		option(h)
	}
	keys, err := pairs(secrets)
	if err != nil {
		return nil, fmt.Errorf("webhook secrets: %w", err)
	}
	addresses, err := pairs(urls)
	if err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	for name, address := range addresses {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			return nil, fmt.Errorf("webhook %s: its address must begin with https://", name)
		}
		key, err := readKey(keys[name])
		if err != nil {
			return nil, fmt.Errorf("webhook %s: its secret %w", name, err)
		}
		h.all[name] = hook{url: address, key: key}
	}
	for name := range keys {
		if _, ok := addresses[name]; !ok {
			return nil, fmt.Errorf("webhook secrets: there is no webhook %s", name)
		}
	}
	return h, nil
}

// pairs reads "a=1,b=2".
func pairs(text string) (map[string]string, error) {
	all := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, found := strings.Cut(part, "=")
		if name = strings.TrimSpace(name); !found || name == "" || strings.Trim(name, nameLetters) != "" || len(name) > 64 {
			return nil, errors.New("write name=value,name=value, each name of letters, digits, - and _")
		}
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		all[name] = strings.TrimSpace(value)
	}
	return all, nil
}

const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

func readKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	switch {
	case text == "":
		return nil, errors.New("is missing")
	case err != nil:
		return nil, errors.New("must be whsec_ and then base64")
	case len(key) < shortestKey || len(key) > longestKey:
		return nil, fmt.Errorf("has %d bytes; from %d to %d are asked for", len(key), shortestKey, longestKey)
	}
	return key, nil
}

// Names lists the webhooks.
func (h *Hooks) Names() []string { return slices.Sorted(maps.Keys(h.all)) }

// Send delivers body to the webhook of that name, once, as the message id. An
// error says why it was not taken, and again whether another try is worth it.
func (h *Hooks) Send(ctx context.Context, name, id string, body []byte) (again bool, err error) {
	to, ok := h.all[name]
	if !ok {
		return true, fmt.Errorf("this worker's configuration has no webhook %s", name)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("the webhook %s has an address that cannot be called", name)
	}
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "pelton")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", stamp)
	req.Header.Set("Webhook-Signature", sign(to.key, id, stamp, body))
	resp, err := h.client.Do(req)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err // the other part is the address
		}
		return true, fmt.Errorf("the webhook %s cannot be reached: %w", name, err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, mostAnswer)
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return false, nil
	}
	return resp.StatusCode != http.StatusGone, fmt.Errorf("the webhook %s answered %d %s", name, resp.StatusCode, http.StatusText(resp.StatusCode))
}

func sign(key []byte, id, stamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
