#!/usr/bin/env bash
# KEDA v2.21.0 (github.com/kedacore/keda/v2): after a failed search for the leader the JetStream
# scaler reports a follower's lag, 0.
#
# Expected: an error at each poll until the consumer's leader has been found and asked: the
# scaler searches for it because a follower does not know what the consumer has pending.
#
# Seen: the first poll fails, as the search meets a node that is down. It has already remembered
# the leader's name, so the second takes the follower that it asked for the leader: lag 0, not
# active, no error. KEDA scales the workers to zero with 5,000 messages waiting. (The scaler's
# own file is compiled here, with stand-ins for KEDA's helpers around it. The monitoring
# endpoint is a stub that answers /jsz and /varz as a follower does.)
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
timeout 500 go mod download -json github.com/kedacore/keda/v2@v2.21.0 >keda.json
keda=$(sed -n 's/.*"Dir": "\(.*\)".*/\1/p' keda.json)
sed -e 's#github.com/kedacore/keda/v2/pkg/scalers/scalersconfig#finding/scalersconfig#' \
	-e 's#github.com/kedacore/keda/v2/pkg/util#finding/util#' -e 's/^package scalers/package main/' \
	"$keda/pkg/scalers/nats_jetstream_scaler.go" >scaler.go
mkdir scalersconfig util
cat >scalersconfig/config.go <<'GO'
package scalersconfig

import "time"

type ScalerConfig struct {
	GlobalHTTPTimeout time.Duration
	TriggerIndex      int
}

func (*ScalerConfig) TypedConfig(any) error { return nil }
GO
cat >util/util.go <<'GO'
package util

import (
	"net/http"
	"time"
)

func CreateHTTPClient(timeout time.Duration, _ bool) *http.Client { return &http.Client{Timeout: timeout} }
func NormalizeString(s string) string                            { return s }
GO
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	v2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/metrics/pkg/apis/external_metrics"

	"finding/scalersconfig"
)

type Scaler any

func GetMetricTargetType(*scalersconfig.ScalerConfig) (v2.MetricTargetType, error) { return "", nil }
func GetMetricTarget(v2.MetricTargetType, int64) v2.MetricTarget                   { return v2.MetricTarget{} }
func InitializeLogger(*scalersconfig.ScalerConfig, string) logr.Logger             { return logr.Discard() }
func GenerateMetricNameWithIndex(_ int, name string) string                        { return name }
func GenerateMetricInMili(name string, value float64) external_metrics.ExternalMetricValue {
	return external_metrics.ExternalMetricValue{MetricName: name, Value: *resource.NewMilliQuantity(int64(value*1000), resource.DecimalSI)}
}

func main() {
	// nats-1, a follower of the consumer, whose leader nats-2 (127.0.0.2) has just gone.
	follower := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/varz" {
			fmt.Fprint(w, `{"server_name":"nats-1","connect_urls":["127.0.0.2:4222"]}`)
			return
		}
		fmt.Fprint(w, `{"meta_cluster":{"cluster_size":3},"account_details":[{"id":"A","name":"A","stream_detail":[{"name":"JOBS",
			"state":{"messages":5000},"consumer_detail":[{"name":"workers","num_pending":0,"num_ack_pending":0,"cluster":{"leader":"nats-2"}}]}]}]}`)
	}))
	defer follower.Close()
	made, err := newScaler(strings.TrimPrefix(follower.URL, "http://"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_, _, first := made.GetMetricsAndActivity(context.Background(), "lag")
	lag, active, second := made.GetMetricsAndActivity(context.Background(), "lag")
	fmt.Println("poll 1: error", first)
	if second != nil {
		fmt.Println("The behaviour has changed: poll 2:", second)
		os.Exit(1)
	}
	fmt.Println("poll 2: error", second, "lag", lag[0].Value.Value(), "active", active)
	if first == nil || active || lag[0].Value.Value() != 0 {
		fmt.Println("The behaviour has changed.")
		os.Exit(1)
	}
}

// newScaler fills in what KEDA reads from a ScaledObject.
func newScaler(endpoint string) (*natsJetStreamScaler, error) {
	meta := natsJetStreamMetadata{Account: "A", AccountID: "A", Stream: "JOBS", Consumer: "workers", LagThreshold: 10}
	meta.monitoringURL = getNATSJetStreamMonitoringURL(false, endpoint, "A")
	return &natsJetStreamScaler{stream: &streamDetail{}, metadata: meta, httpClient: &http.Client{Timeout: 5 * time.Second}, logger: logr.Discard()}, nil
}
GO
go mod init finding >go.log 2>&1
timeout 500 go get k8s.io/api@v0.36.4 k8s.io/apimachinery@v0.36.4 \
	k8s.io/metrics@v0.36.4 github.com/go-logr/logr@v1.4.4 >>go.log 2>&1
timeout 500 go build -mod=mod -o check . >>go.log 2>&1 || { cat go.log; exit 1; }
timeout 60 ./check
