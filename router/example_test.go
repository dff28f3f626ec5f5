package router_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"pelton/internal/faultyllm"
	"pelton/router"
)

func ExampleRouter_Do() {
	upstream, err := faultyllm.New(faultyllm.Config{})
	if err != nil {
		panic(err)
	}
	if err := upstream.Start(""); err != nil {
		panic(err)
	}
	defer upstream.Close()

	cfg := &router.Config{Deployments: []router.Deployment{
		{Group: "small", Model: "gpt-4o-mini", BaseURL: upstream.URL(), APIKey: router.NewSecret(os.Getenv("SOME_KEY"))},
	}}
	r, err := router.New(cfg)
	if err != nil {
		panic(err)
	}
	defer r.Close()

	out := r.Do(context.Background(), router.Request{
		Body: json.RawMessage(`{"model": "small", "messages": [{"role": "user", "content": "Hello"}], "mock": {"status": 503, "times": 1}}`),
	})
	for _, a := range out.Attempts {
		fmt.Println(a.Deployment, a.Model, a.StatusCode)
	}
	fmt.Println(out.Status)

	out = r.Do(context.Background(), router.Request{Body: json.RawMessage(`{"model": "large", "messages": []}`)})
	fmt.Println(out.Error)
	// Output:
	// small-1 gpt-4o-mini 503
	// small-1 gpt-4o-mini 200
	// succeeded
	// request_fatal (model_not_found): no model group "large"; configured: small
}
