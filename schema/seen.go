package schema

import (
	"encoding/binary"
	"hash/maphash"
)

// seen remembers the custom ids of a job, to find one that comes again. It
// keeps a 64-bit hash and the index of each, not the text: 10 bytes and some
// slack per index once there are many. The seed is random, so nobody can make
// ids that collide; two different ids of n are taken for the same with odds of
// n²/2⁶⁵: 1 in 37 million at n = 1,000,000, 1 in 370,000 at 10,000,000.
// The zero value is ready.
type seen struct {
	seed   maphash.Seed
	few    map[uint64]int // hash to index, while there are at most fewSeen
	shards [][]byte       // then: records of one prefix of the hash, unsorted
}

const (
	fewSeen   = 1 << 13
	shardBits = 14
	hashBits  = 64 - shardBits // the rest of the hash, low in the record's first 8 bytes
	hashMask  = 1<<hashBits - 1
	record    = 10 // bytes: hashBits of the hash, then 30 bits of the index
)

// add notes that the request at index has the id. If an earlier one has it, it
// returns that one's index and true, and notes nothing.
func (s *seen) add(id string, index int) (first int, again bool) {
	if s.few == nil && s.shards == nil {
		s.seed, s.few = maphash.MakeSeed(), map[uint64]int{}
	}
	hash := maphash.String(s.seed, id)
	if s.shards != nil {
		return s.addRecord(hash, index)
	}
	if first, again = s.few[hash]; again {
		return first, true
	}
	s.few[hash] = index
	if len(s.few) > fewSeen {
		s.shards = make([][]byte, 1<<shardBits)
		for hash, index := range s.few {
			s.addRecord(hash, index)
		}
		s.few = nil
	}
	return 0, false
}

func (s *seen) addRecord(hash uint64, index int) (first int, again bool) {
	shard := s.shards[hash>>hashBits]
	rest := hash & hashMask
	for i := 0; i < len(shard); i += record {
		low := binary.LittleEndian.Uint64(shard[i:])
		if low&hashMask == rest {
			return int(low>>hashBits) | int(binary.LittleEndian.Uint16(shard[i+8:]))<<shardBits, true
		}
	}
	if len(shard)+record > cap(shard) { // append would double: half of the memory lay idle
		grown := make([]byte, len(shard), len(shard)+max(2*record, len(shard)/16))
		copy(grown, shard)
		shard = grown
	}
	shard = binary.LittleEndian.AppendUint64(shard, rest|uint64(index)<<hashBits)
	s.shards[hash>>hashBits] = binary.LittleEndian.AppendUint16(shard, uint16(index>>shardBits))
	return 0, false
}
