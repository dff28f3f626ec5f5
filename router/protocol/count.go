package protocol

import (
	"bytes"
	"math"
	"strconv"
)

// Count reads a number of tokens as servers write it: a whole number, a float,
// or a string. Anything else counts as absent.
func Count(raw []byte) (int64, bool) {
	raw = bytes.Trim(raw, `"`)
	n := int64(0)
	for _, c := range raw {
		if c < '0' || c > '9' || len(raw) > 15 {
			f, err := strconv.ParseFloat(string(raw), 64)
			return int64(f), err == nil && f >= 0 && f < math.MaxInt64/2
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(raw) > 0
}
