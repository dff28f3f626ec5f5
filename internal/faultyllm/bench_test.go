package faultyllm

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// blank is a ResponseWriter that costs nothing.
type blank struct{ h http.Header }

func (b *blank) Header() http.Header         { return b.h }
func (b *blank) Write(p []byte) (int, error) { return len(p), nil }
func (b *blank) WriteHeader(int)             {}

// BenchmarkHandler is the work of this package alone, without net/http.
func BenchmarkHandler(b *testing.B) {
	for _, size := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, err := New(Config{})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				body := strings.NewReader("")
				text := chatBody(strings.Repeat("word ", size/5))
				r, _ := http.NewRequest("POST", "/v1/chat/completions", body)
				r.ContentLength = int64(len(text))
				r.Body = io.NopCloser(body)
				w := &blank{http.Header{}}
				for pb.Next() {
					body.Reset(text)
					s.ServeHTTP(w, r)
				}
			})
		})
	}
}

// BenchmarkLoopback is the whole server, over real connections and with a
// client that does as little as it can, every request different.
func BenchmarkLoopback(b *testing.B) {
	u := start(b, Config{})
	addr := strings.TrimPrefix(u.Root(), "http://")
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		var out []byte
		for pb.Next() {
			body := chatBody("request " + strconv.FormatInt(n.Add(1), 10))
			out = fmt.Appendf(out[:0], "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			if _, err := conn.Write(out); err != nil {
				b.Error(err)
				return
			}
			length := 0
			for {
				line, err := in.ReadSlice('\n')
				if err != nil {
					b.Error(err)
					return
				}
				if len(line) <= 2 {
					break
				}
				if v, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
					length, _ = strconv.Atoi(strings.TrimSpace(v))
				}
			}
			if _, err := in.Discard(length); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}
