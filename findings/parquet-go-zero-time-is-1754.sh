#!/usr/bin/env bash
# parquet-go v0.32.0 (github.com/parquet-go/parquet-go): the zero time comes back as a day in
# 1754.
#
# Expected: the zero time, for which IsZero is true, or an error. The file holds it rightly, as
# -62135596800000 milliseconds, and the Parquet specification gives TIMESTAMP(MILLIS) the whole
# range of an INT64.
#
# Seen: 1754-08-30. The reader goes through nanoseconds, which overflow for years before 1678
# and after 2262. A field that was never set (no start, no end) passes for a date.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > main.go <<'GO'
package main

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/parquet-go/parquet-go"
)

type result struct {
	ID      string    `parquet:"id"`
	Started time.Time `parquet:"started,timestamp(millisecond)"`
}

func main() {
	var file bytes.Buffer
	err := parquet.Write(&file, []result{{ID: "never started"}, {ID: "started", Started: time.Unix(1700000000, 0).UTC()}})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	raw, err := parquet.OpenFile(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	rows := make([]parquet.Row, 1)
	stored := raw.RowGroups()[0].Rows()
	_, _ = stored.ReadRows(rows)
	_ = stored.Close()
	read, err := parquet.Read[result](bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("in the file:", rows[0][1].Int64(), "ms; the zero time is", time.Time{}.UnixMilli(), "ms")
	fmt.Println("read:", read[0].Started, "and", read[1].Started.UTC())
	if rows[0][1].Int64() != (time.Time{}).UnixMilli() || read[0].Started.Year() != 1754 || read[1].Started.Unix() != 1700000000 {
		fmt.Println("The behaviour has changed.")
		os.Exit(1)
	}
}
GO
go mod init finding >go.log 2>&1
timeout 500 go get github.com/parquet-go/parquet-go@v0.32.0 >>go.log 2>&1
timeout 500 go build -o check . >>go.log 2>&1 || { cat go.log; exit 1; }
timeout 60 ./check
