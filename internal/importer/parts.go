package importer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/problem"
)

// A file that is cut into parts is name.000000000, name.000000001 and so on: all but the
// last as long as the description says.

// maxParts bounds the parts of a disk: they are numbered with nine digits, and
// each costs an opening.
const maxParts = 1 << 20

// part is the name of a part of a file that is cut into parts.
func part(name string, n int) string { return fmt.Sprintf("%s.%09d", name, n) }

// chunks are the names of the parts of a file, as far as they are there.
func (s *Source) chunks(name string) []string {
	var names []string
	for n := range maxParts {
		part := part(path.Clean(name), n)
		if _, err := s.lengthOf(part); err != nil {
			break
		}
		names = append(names, part)
	}
	return names
}

// allParts refuses a file of which a part is missing or has another length than the description says:
// what follows it would lie elsewhere on the disk.
func (s *Source) allParts(d appliance.Disk) error {
	names := s.chunks(d.File)
	var total int64
	for n, name := range names {
		length, err := s.lengthOf(name)
		if err != nil {
			return err
		}
		if last := n == len(names)-1; length > d.Parts || length < d.Parts && !last {
			return s.cutWrongly(d, "its part %s has %d bytes, and the description says %d", name, length, d.Parts)
		}
		total += length
	}
	missing := part(d.File, len(names))
	plain := d.Format == "raw" && d.Compression == "" && d.Encryption == ""
	switch {
	case s.lastPart(d.File) >= len(names):
		return s.cutWrongly(d, "its part %s is not there", missing)
	case d.Length > 0 && total < d.Length:
		return s.cutWrongly(d, "its parts have %d bytes together, and the description says %d: %s is not there, or the last one is short", total, d.Length, missing)
	case d.Length > 0 && total > d.Length:
		return s.cutWrongly(d, "its parts have %d bytes together, and the description says %d", total, d.Length)
	case plain && total < d.Size:
		return s.cutWrongly(d, "its parts have %d bytes together, and the disk has %d: %s is not there, or the last one is short", total, d.Size, missing)
	}
	return nil
}

func (s *Source) cutWrongly(d appliance.Disk, format string, args ...any) error {
	return problem.New(api.KindUnreadable, "get the whole of it", "import %s: its disk %s is cut into parts: "+format, append([]any{s.path, d.File}, args...)...)
}

// lastPart is the highest number of a part of a file that is there; -1 if there is none.
func (s *Source) lastPart(name string) int {
	last := -1
	for _, other := range s.filesIn(path.Dir(path.Clean(name))) {
		digits, found := strings.CutPrefix(other, path.Clean(name)+".")
		if n, err := strconv.Atoi(digits); found && err == nil && len(digits) == 9 {
			last = max(last, n)
		}
	}
	return last
}

// filesIn are the names of the files in a folder of the source; in an archive, of all.
func (s *Source) filesIn(dir string) []string {
	var names []string
	if s.members != nil {
		for _, member := range s.members.Members() {
			names = append(names, path.Clean(member.Name))
		}
		return names
	}
	folder, err := s.root.Open(dir)
	if err != nil {
		return nil // that what should be in it is missing is told
	}
	defer folder.Close()
	entries, _ := folder.Readdirnames(-1)
	for _, entry := range entries {
		names = append(names, path.Join(dir, entry))
	}
	return names
}

// parts reads the parts of a file until there is no further one.
type parts struct {
	open func(int) (io.ReadCloser, error)
	next int
	now  io.ReadCloser
}

// Read reads on, into the next part where one ends.
func (p *parts) Read(b []byte) (int, error) {
	for {
		if p.now == nil {
			part, err := p.open(p.next)
			switch {
			case errors.Is(err, os.ErrNotExist) && p.next > 0:
				return 0, io.EOF
			case err != nil:
				return 0, err
			case p.next == maxParts:
				return 0, fmt.Errorf("it is cut into more than %d parts", maxParts)
			}
			p.now = part
			p.next++
		}
		n, err := p.now.Read(b)
		if n > 0 || err == nil {
			return n, nil //nolint:nilerr // an error comes again with the next call
		}
		if !errors.Is(err, io.EOF) {
			return 0, err
		}
		if err := p.Close(); err != nil {
			return 0, err
		}
	}
}

// Close closes the part that is open.
func (p *parts) Close() error {
	if p.now == nil {
		return nil
	}
	err := p.now.Close()
	p.now = nil
	return err
}
