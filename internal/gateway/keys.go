package gateway

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"pelton/schema"
)

// Right is something that a key may do.
type Right string

// The rights.
const (
	Read   Right = "read"   // see files, batches and models, and download
	Write  Right = "write"  // upload files, create batches
	Delete Right = "delete" // delete files, cancel batches
)

// Key is who a request comes from.
type Key struct {
	Name   string  // whose files and batches these are; several keys may have one name
	Queue  string  // that the batches run in
	Rights []Right // at least one

	hash [sha256.Size]byte
	all  bool // sees what belongs to any key: the only client of its installation
}

// May reports whether the key has a right.
func (k *Key) May(r Right) bool { return slices.Contains(k.Rights, r) }

// sees reports whether something that belongs to owner is there for the key.
// What belongs to nobody, a job that was submitted over NATS for one, is there
// for every key of its queue.
func (k *Key) sees(queue, owner string) bool {
	return queue == k.Queue && (k.all || owner == "" || owner == k.Name)
}

// Keys are the keys of an installation. They are not changed once loaded.
type Keys struct{ list []*Key }

// find returns the key of a token, nil when there is none. How long it takes
// says nothing about the keys: all are compared, by their hashes.
func (k *Keys) find(token string) *Key {
	hash := sha256.Sum256([]byte(token))
	var found *Key
	for _, key := range k.list {
		if subtle.ConstantTimeCompare(hash[:], key.hash[:]) == 1 {
			found = key
		}
	}
	return found
}

// Queues are those that the keys name.
func (k *Keys) Queues() []string {
	var list []string
	for _, key := range k.list {
		if !slices.Contains(list, key.Queue) {
			list = append(list, key.Queue)
		}
	}
	return list
}

// maxKeys bounds the file of keys, in bytes.
const maxKeys = 4 << 20

// LoadKeys reads the keys in a YAML file:
//
//	keys:
//	  - name: search
//	    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	    queue: default
//	    rights: [read, write, delete]
//
// The queue is [schema.DefaultQueue] when it is left out, and so are all rights.
// The error names every problem with its line, and shows no hash.
func LoadKeys(path string) (*Keys, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("PELTON_API_KEYS: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxKeys+1))
	if err == nil && len(data) > maxKeys {
		err = fmt.Errorf("larger than %d MiB: is it the right file?", maxKeys>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("PELTON_API_KEYS: %s: %w", path, err)
	}
	return parseKeys(path, data)
}

func parseKeys(path string, data []byte) (*Keys, error) {
	var document struct {
		Keys []yaml.Node `yaml:"keys"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	keys := &Keys{}
	var problems []error
	for i := range document.Keys {
		node := &document.Keys[i]
		key, errs := parseKey(node)
		if len(errs) == 0 {
			errs = keys.add(key)
		}
		for _, err := range errs {
			problems = append(problems, fmt.Errorf("%s:%d: %w", path, node.Line, err))
		}
	}
	if len(document.Keys) == 0 {
		problems = append(problems, fmt.Errorf("%s: holds no keys; write keys: and a list with name, sha256, queue and rights", path))
	}
	return keys, errors.Join(problems...)
}

func parseKey(node *yaml.Node) (*Key, []error) {
	if node.Kind != yaml.MappingNode {
		return nil, []error{errors.New("must have name, sha256, queue and rights")}
	}
	key := &Key{Queue: schema.DefaultQueue}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	hashed, given := false, false
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i].Value, node.Content[i+1]
		switch name {
		case "name":
			key.Name = value.Value
		case "queue":
			key.Queue = value.Value
		case "sha256":
			hash, err := hex.DecodeString(value.Value)
			if hashed = err == nil && len(hash) == sha256.Size; hashed {
				key.hash = [sha256.Size]byte(hash)
			}
		case "rights":
			given = true
			if err := value.Decode(&key.Rights); err != nil {
				bad("rights: must be a list like [read, write, delete]")
			}
		default:
			bad("%s: no such field; there are name, sha256, queue and rights", clip(name))
		}
	}
	if !schema.ValidQueue(key.Name) {
		bad("name: must be 1 to %d letters, digits, - and _", schema.MaxIDLength)
	}
	if !schema.ValidQueue(key.Queue) {
		bad("queue: must be 1 to %d letters, digits, - and _", schema.MaxIDLength)
	}
	if !hashed {
		bad("sha256: must be the 64 hex digits of the token's SHA-256; `pelton gateway --new-key NAME` makes a token with its entry")
	}
	if !given {
		key.Rights = []Right{Read, Write, Delete}
	}
	for _, r := range key.Rights {
		if r != Read && r != Write && r != Delete {
			bad("rights: there is no %q; there are read, write and delete", clip(string(r)))
		}
	}
	if len(key.Rights) == 0 {
		bad("rights: is empty; name at least one of read, write and delete")
	}
	return key, errs
}

func (k *Keys) add(key *Key) (errs []error) {
	for _, other := range k.list {
		if other.hash == key.hash {
			errs = append(errs, fmt.Errorf("%s: this sha256 is %s's already", key.Name, other.Name))
		}
		if other.Name == key.Name && other.Queue != key.Queue {
			errs = append(errs, fmt.Errorf("%s: is tied to queue %s above; keys of one name share their batches, and so the queue", key.Name, other.Queue))
		}
	}
	k.list = append(k.list, key)
	return errs
}

// NewKey makes a token, and the entry of the file of keys that lets it in.
func NewKey(name, queue string) (token, entry string, err error) {
	if !schema.ValidQueue(name) {
		return "", "", fmt.Errorf("the key's name %q: must be 1 to %d letters, digits, - and _", name, schema.MaxIDLength)
	}
	var random [24]byte
	_, _ = rand.Read(random[:]) // never fails
	token = "pk-" + base64.RawURLEncoding.EncodeToString(random[:])
	hash := sha256.Sum256([]byte(token))
	entry = fmt.Sprintf("  - name: %s\n    sha256: %s\n    queue: %s\n    rights: [read, write, delete]\n", name, hex.EncodeToString(hash[:]), queue)
	return token, entry, nil
}
