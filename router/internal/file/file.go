// Package file reads files whole, up to a bound.
package file

import (
	"fmt"
	"io"
	"os"
)

// Max is the bound for configurations and the like: a device, or the wrong file,
// is not read into memory until there is no more of it.
const Max = 16 << 20

// Read returns what is in the file, of at most limit bytes.
func Read(path string, limit int64) ([]byte, error) {
	from, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	text, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes: is it the right file?", path, limit)
	}
	return text, err
}
