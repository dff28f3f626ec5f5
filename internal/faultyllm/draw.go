package faultyllm

import "encoding/binary"

// Purposes keep the draws for one call independent of each other.
const (
	drawFault = iota + 1
	drawLatency
	drawLatency2
	drawID
	drawID2
	drawVector
)

// mix is the finalizer of splitmix64: every bit of x reaches every bit of the
// result.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// draw is the server's only source of chance: it depends on nothing that the
// order or the timing of calls could change.
func draw(seed uint64, id *identity, call int, purpose uint64) uint64 {
	h := mix(seed)
	for i := 0; i < len(id); i += 8 {
		h = mix(h ^ binary.LittleEndian.Uint64(id[i:]))
	}
	return mix(mix(h^uint64(call)) ^ purpose)
}

// unit maps a draw to [0,1).
func unit(v uint64) float64 { return float64(v>>11) / (1 << 53) }
