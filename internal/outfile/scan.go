package outfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"pelton/internal/bitset"
	"pelton/schema"
)

// maxIndex bounds what a file can make us remember when the total is unknown.
const maxIndex = 10_000_000

// entry is one result line in a file.
type entry struct {
	index     int
	succeeded bool
	offset    int64
	length    int // with the line end
}

// scan calls visit for each result line of file. It returns the size of the
// part that holds whole lines, and whether the last of them lacks its line end.
// Only what a killed process or a power cut leaves may be broken: the begin of a
// line of ours at the file's end, or zeros.
func scan(file io.Reader, name string, total int, visit func(entry)) (size int64, open bool, err error) {
	in := bufio.NewReaderSize(file, 256<<10)
	limit := total
	if limit == 0 {
		limit = maxIndex
	}
	var long []byte
	for number := 1; ; number++ {
		line, err := readLine(in, &long)
		if err != nil && err != io.EOF {
			return size, false, fmt.Errorf("%s: %w", name, reason(err))
		}
		last := err == io.EOF
		if blank := len(bytes.TrimSpace(line)) == 0; !blank {
			var head struct {
				Index  *int          `json:"index"`
				Status schema.Status `json:"status"`
			}
			fault := json.Unmarshal(line, &head)
			switch {
			case fault != nil && last && cutOff(line):
				return size, false, nil
			case fault != nil || head.Index == nil || head.Status == "":
				return size, false, fmt.Errorf("%s:%d: is no result line of pelton; repair it, or write to another file", name, number)
			case *head.Index < 0 || *head.Index >= limit:
				return size, false, fmt.Errorf("%s:%d: holds index %d, and the input has %d requests: it belongs to another input", name, number, *head.Index, limit)
			}
			visit(entry{*head.Index, head.Status == schema.StatusSucceeded, size, len(line)})
			open = last
		} else if last {
			return size, false, nil
		}
		size += int64(len(line))
		if last {
			return size, open, nil
		}
	}
}

// cutOff reports whether line can be the begin of a line of ours.
func cutOff(line []byte) bool {
	const begin = `{"id":"`
	line = bytes.TrimRight(line, "\x00")
	return bytes.HasPrefix(line, []byte(begin)) || strings.HasPrefix(begin, string(line))
}

// readLine returns a line with its end, good until the next call. At the end of
// the input it returns the rest, and io.EOF.
func readLine(in *bufio.Reader, long *[]byte) ([]byte, error) {
	*long = (*long)[:0]
	for {
		part, err := in.ReadSlice('\n')
		if err != bufio.ErrBufferFull && len(*long) == 0 {
			return part, err
		}
		*long = append(*long, part...)
		if err != bufio.ErrBufferFull {
			return *long, err
		}
	}
}

// repair makes the file end behind its last whole line and leaves it ready to
// append. It adds what succeeded to done, if there is one.
func repair(file *os.File, name string, total int, done *bitset.Set) (size int64, err error) {
	size, open, err := scan(file, name, total, func(e entry) {
		if e.succeeded && done != nil {
			done.Add(e.index)
		}
	})
	if err != nil {
		return 0, err
	}
	if err := file.Truncate(size); err != nil {
		return 0, fmt.Errorf("%s: cannot be repaired: %w", name, reason(err))
	}
	if _, err := file.Seek(size, io.SeekStart); err != nil {
		return 0, fmt.Errorf("%s: %w", name, reason(err))
	}
	if open {
		if _, err := file.Write([]byte("\n")); err != nil {
			return 0, fmt.Errorf("%s: cannot be written: %w", name, reason(err))
		}
		size++
	}
	return size, nil
}
