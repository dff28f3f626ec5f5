package schema

// Limits bound what a parser accepts, before it allocates for it. The zero
// value of every field, and a negative number, mean its default.
type Limits struct {
	// Prefix is the first token or tokens of this installation's subjects; a
	// job may not ask for its results to be relayed there. Default [DefaultPrefix].
	Prefix string
	// AutoConcurrency allows a concurrency of "auto", which is experimental.
	AutoConcurrency bool
	// MaxRequests bounds the requests of one job. Default 10,000,000; values
	// above 1,000,000,000 are lowered to that.
	MaxRequests int
	// MaxBody bounds one request's body in bytes. Default 64 MiB.
	MaxBody int
	// MaxDepth bounds how deep arrays and objects of a body nest, the body
	// itself counted. Default 1,000; encoding/json refuses 10,000 anyway.
	MaxDepth int
	// MaxMetadata bounds a job's metadata in bytes: every state message carries
	// it. Default 64 KiB.
	MaxMetadata int
}

// Bounds that no configuration moves.
const (
	maxIndex    = 1_000_000_000 // [seen] has 30 bits for an index
	maxCustomID = 1024          // characters: custom ids travel in headers
	maxReply    = 512           // characters
	maxObject   = 1024          // characters of an input's name
	maxCount    = 1<<31 - 1     // of the counts in fail_fast
	maxCost     = 1e9           // USD
	maxTags     = 32
	maxTag      = 128      // characters
	lineRoom    = 16 << 10 // bytes a batch line may have around its body
)

func (l Limits) withDefaults() Limits {
	if l.Prefix == "" {
		l.Prefix = DefaultPrefix
	}
	or := func(v *int, fallback int) {
		if *v <= 0 {
			*v = fallback
		}
	}
	or(&l.MaxRequests, 10_000_000)
	or(&l.MaxBody, 64<<20)
	or(&l.MaxDepth, 1000)
	or(&l.MaxMetadata, 64<<10)
	l.MaxRequests = min(l.MaxRequests, maxIndex)
	return l
}
