package faultyllm

import (
	"crypto/sha256"
	"encoding/hex"
)

// identity says which request a call belongs to.
type identity [sha256.Size]byte

// IdentityOf is the identity of a request that is known by its body: the
// SHA-256 in hexadecimal.
func IdentityOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// namedIdentity is the identity of a name: a hash in hexadecimal stands for
// itself, so that IdentityOf can be looked up.
func namedIdentity(name string) identity {
	var id identity
	if len(name) == hex.EncodedLen(len(id)) {
		if _, err := hex.Decode(id[:], []byte(name)); err == nil {
			return id
		}
	}
	return sha256.Sum256([]byte("name\x00" + name))
}
