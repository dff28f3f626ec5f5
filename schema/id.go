package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// JobKey names a job among those of all queues, as ids are unique in one queue
// alone. It is comparable; the zero value names no job.
type JobKey struct{ Queue, Job string }

// MaxIDLength bounds a job's id, in bytes.
const MaxIDLength = 64

// ValidID reports whether id can be a job's id: letters, digits, - and _, up to
// [MaxIDLength], and not "j" with only digits behind it, which is what a job
// without an id is given.
func ValidID(id string) bool { return idFault(id) == "" }

// ValidQueue reports whether name can be a queue's: as a job's id, but "j" and
// digits are not reserved.
func ValidQueue(name string) bool { return inAlphabet(name) }

func inAlphabet(s string) bool {
	for _, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= MaxIDLength
}

// idFault says what is wrong with a job's id, "" for nothing.
func idFault(id string) string {
	if !inAlphabet(id) {
		return "must be 1 to 64 letters, digits, - and _"
	}
	if digits := id[1:]; id[0] == 'j' && digits != "" && strings.Trim(digits, "0123456789") == "" {
		return `"j" and only digits is reserved for jobs without an id; choose another`
	}
	return ""
}

// NormalizeID makes a job's id of one that came from outside, in a message
// header or a CloudEvent. A valid id stays as it is and external is empty. Any
// other becomes "h" and the first 32 hex digits of its SHA-256, always the same
// for the same id, with the original as external. No id gives no id.
func NormalizeID(id string) (job, external string) {
	if id == "" || ValidID(id) {
		return id, ""
	}
	sum := sha256.Sum256([]byte(id))
	return "h" + hex.EncodeToString(sum[:16]), id
}
