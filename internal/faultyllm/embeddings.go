package faultyllm

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"

	"pelton/internal/rawjson"
)

var embeddings = &endpoint{
	path:    "/v1/embeddings",
	subject: "input",
	compose: func(x *exchange) { x.texts = x.req.items(x.texts) },
	whole: func(x *exchange, out []byte) []byte {
		n, _ := x.req.size(x.set.Dimensions) // read has refused what is not ok
		vector := make([]float32, n)
		out = append(out, `{"object":"list","data":[`...)
		for i, input := range x.texts {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, `{"object":"embedding","index":`...)
			out = strconv.AppendInt(out, int64(i), 10)
			out = append(out, `,"embedding":`...)
			embed(vector, x.set.Seed, input)
			out = appendVector(out, vector, x.req.base64)
			out = append(out, '}')
		}
		out = append(out, `],`...)
		out = x.model(out)
		out = append(out, `,"usage":`...)
		out = x.usage(out, "prompt_tokens", "")
		return append(out, '}')
	},
}

// embed fills vector with a direction that depends only on the seed and the
// input, of length 1.
func embed(vector []float32, seed uint64, input []byte) {
	if rawjson.IsString(input) {
		input = stringText(input) // however it was escaped
	}
	id := identity(sha256.Sum256(input))
	var square float64
	for i := range vector {
		v := 2*unit(draw(seed, &id, i, drawVector)) - 1
		vector[i] = float32(v)
		square += v * v
	}
	if square == 0 {
		return
	}
	scale := float32(1 / math.Sqrt(square))
	for i := range vector {
		vector[i] *= scale
	}
}

// appendVector appends numbers, or what the official SDKs ask for unless told
// otherwise: the base64 of little-endian floats.
func appendVector(out []byte, vector []float32, b64 bool) []byte {
	if b64 {
		raw := make([]byte, 0, 4*len(vector))
		for _, v := range vector {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		out = append(out, '"')
		out = base64.StdEncoding.AppendEncode(out, raw)
		return append(out, '"')
	}
	out = append(out, '[')
	for i, v := range vector {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendFloat(out, float64(v), 'g', -1, 32)
	}
	return append(out, ']')
}
