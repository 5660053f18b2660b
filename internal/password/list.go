package password

import (
	"bufio"
	"bytes"
	"crypto/sha1" //nolint:gosec // the form in which lists of breached passwords are published
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

const (
	// maxLine bounds a line of a list.
	maxLine = 4096
	// sample is how many lines are looked at when a list is opened.
	sample = 1000
)

// List is a file of passwords that must not be taken, of any size, sorted by bytes, one a line: either SHA-1 in upper case
// hex, with or without ":count" behind it, or plain. It is searched on disk, never loaded.
type List struct {
	file   io.ReaderAt
	close  func() error
	size   int64
	hashed bool
}

// OpenList opens a list, tells from its first line of which kind it is, and looks whether its beginning is sorted: in an
// unsorted list nothing would be found, and nobody would notice.
func OpenList(path string) (*List, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the list of breached passwords: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("open the list of breached passwords: %w", err)
	}
	list, err := newList(file, info.Size())
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	list.close = file.Close
	return list, nil
}

// ReadList makes a list of a text that is in memory, such as a small file of the company's own. It is sorted here.
func ReadList(text []byte) (*List, error) {
	lines := bytes.Split(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\n"))
	lines = slices.DeleteFunc(lines, func(line []byte) bool { return len(line) == 0 })
	slices.SortFunc(lines, bytes.Compare)
	sorted := append(bytes.Join(lines, []byte("\n")), '\n')
	return newList(bytes.NewReader(sorted), int64(len(sorted)))
}

func newList(file io.ReaderAt, size int64) (*List, error) {
	list := &List{file: file, size: size, close: func() error { return nil }}
	lines := bufio.NewScanner(io.NewSectionReader(file, 0, size))
	lines.Buffer(nil, maxLine)
	var last []byte
	for number := 1; number <= sample && lines.Scan(); number++ {
		key := bytes.TrimSuffix(lines.Bytes(), []byte("\r"))
		if number == 1 {
			list.hashed = isSHA1(key)
		}
		if list.hashed && !isSHA1(key) {
			return nil, fmt.Errorf("line %d is no SHA-1 in upper case hex", number)
		}
		if number > 1 && bytes.Compare(last, key) > 0 {
			return nil, fmt.Errorf("line %d is out of order; sort the list by bytes (LC_ALL=C sort)", number)
		}
		last = append(last[:0], key...)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if last == nil {
		return nil, errors.New("the list is empty")
	}
	return list, nil
}

// Close ends the use of the file.
func (l *List) Close() error { return l.close() }

// Has tells whether password is on the list, by bisection: some thirty short reads in a list of a billion.
func (l *List) Has(password string) (bool, error) {
	want := []byte(password)
	if l.hashed {
		sum := sha1.Sum(want) //nolint:gosec // see above
		want = bytes.ToUpper([]byte(hex.EncodeToString(sum[:])))
	}
	// The first line that is not below want starts at or behind low, and begins before high.
	low, high := int64(0), l.size
	for low < high {
		middle := low + (high-low)/2
		line, next, err := l.lineAt(middle)
		switch {
		case errors.Is(err, io.EOF):
			high = middle
			continue
		case err != nil:
			return false, err
		}
		switch order := bytes.Compare(l.key(line), want); {
		case order == 0:
			return true, nil
		case order < 0:
			low = next
		default:
			high = middle
		}
	}
	// Bisection looks at lines that start behind an offset, so it never sees the very first one.
	line, _, err := l.lineAt(-1)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return err == nil && bytes.Equal(l.key(line), want), nil
}

// lineAt gives the first line that starts behind offset, and an offset that is not before its last byte.
func (l *List) lineAt(offset int64) (line []byte, next int64, err error) {
	buffer := make([]byte, 2*maxLine)
	start := max(0, offset)
	count, err := l.file.ReadAt(buffer, start)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	buffer = buffer[:count]
	skipped := 0
	if offset >= 0 {
		if skipped = bytes.IndexByte(buffer, '\n') + 1; skipped == 0 {
			return nil, 0, io.EOF
		}
	}
	line, _, _ = bytes.Cut(buffer[skipped:], []byte("\n"))
	if len(line) == 0 && start+int64(skipped) >= l.size {
		return nil, 0, io.EOF
	}
	return line, start + int64(skipped) + int64(len(line)), nil
}

// key gives the part of a line that is compared.
func (l *List) key(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if l.hashed {
		return line[:min(len(line), 2*sha1.Size)]
	}
	return line
}

func isSHA1(line []byte) bool {
	const digits = 2 * sha1.Size
	if len(line) < digits || len(line) > digits && line[digits] != ':' {
		return false
	}
	for _, c := range line[:digits] {
		if (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
