#!/usr/bin/env bash
# parquet-go v0.32.0 (github.com/parquet-go/parquet-go): a 64-bit column read into an int32
# field wraps around.
#
# Expected: an error that names the column, as the package gives for text that is no number
# ("invalid conversion between parquet values").
#
# Seen: 5,000,000,000 is read as 705,032,704, without an error: token counts and sizes written
# by another program change on the way in.
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

	"github.com/parquet-go/parquet-go"
)

type written struct {
	Tokens int64 `parquet:"tokens"`
}

type wanted struct {
	Tokens int32 `parquet:"tokens"`
}

func main() {
	var file bytes.Buffer
	if err := parquet.Write(&file, []written{{5_000_000_000}}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	read, err := parquet.Read[wanted](bytes.NewReader(file.Bytes()), int64(file.Len()))
	fmt.Println("written: 5000000000; read:", read, "error:", err)
	if err != nil || len(read) != 1 || read[0].Tokens != 705032704 {
		fmt.Println("The behaviour has changed.")
		os.Exit(1)
	}
}
GO
go mod init finding >go.log 2>&1
timeout 500 go get github.com/parquet-go/parquet-go@v0.32.0 >>go.log 2>&1
timeout 500 go build -o check . >>go.log 2>&1 || { cat go.log; exit 1; }
timeout 60 ./check
