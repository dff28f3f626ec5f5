package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// probeTime is how long a worker may take to say how it is.
const probeTime = 5 * time.Second

// Probe asks the worker at addr whether it takes work, and returns why not.
func Probe(ctx context.Context, addr string) error {
	addr, err := Address(addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+local(addr)+"/readyz", nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is this machine
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer readiness
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answer); err != nil {
		return fmt.Errorf("what listens at %s is no worker: it answers /readyz with status %d", addr, response.StatusCode)
	}
	if answer.Ready {
		return nil
	}
	var reasons []string
	for _, name := range slices.Sorted(maps.Keys(answer.NotReady)) {
		reasons = append(reasons, name+": "+answer.NotReady[name])
	}
	return errors.New("not ready: " + strings.Join(reasons, "; "))
}
