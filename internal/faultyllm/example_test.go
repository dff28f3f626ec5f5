package faultyllm_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"pelton/internal/faultyllm"
)

func Example() {
	srv, err := faultyllm.New(faultyllm.Config{})
	if err != nil {
		panic(err)
	}
	if err := srv.Start(""); err != nil {
		panic(err)
	}
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()

	// The request asks to be turned away once.
	body := `{"model":"m","messages":[{"role":"user","content":"hello"}],
		"mock":{"status":429,"retry_after":2,"times":1}}`
	for range 2 {
		resp, err := http.Post(srv.URL()+"/chat/completions", "application/json", strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		fmt.Printf("%d, retry after %q\n", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	stats := srv.Stats()
	fmt.Println(stats.Calls, "calls,", stats.Duplicates, "of them again, peak", stats.Peak)
	// Output:
	// 429, retry after "2"
	// 200, retry after ""
	// 2 calls, 1 of them again, peak 1
}
