package raw

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"github.com/panalvm/panal/disk"
)

// maxParts is how many files a disk may be split into; they are all open at once.
const maxParts = 1000

// numbered takes a name like "disk.001" apart: the name within its directory
// up to the point, the number, and how many digits it is written with.
func numbered(name string) (stem string, number, digits int, ok bool) {
	base := name[strings.LastIndexByte(name, '/')+1:]
	dot := strings.LastIndexByte(base, '.')
	if dot <= 0 {
		return "", 0, 0, false
	}
	digits = len(base) - dot - 1
	n, err := strconv.ParseUint(base[dot+1:], 10, 31)
	if err != nil || digits < 3 || digits > 9 {
		return "", 0, 0, false
	}
	return base[:dot], int(n), digits, true
}

// partName is the name of a part within the disk's directory.
func partName(stem string, number, digits int) string {
	return fmt.Sprintf("%s.%0*d", stem, digits, number)
}

// addParts opens the further parts of a disk whose first is open: those that
// count on from .000, or from .001 when there is no .000.
func (i *image) addParts(s *disk.Source) error {
	stem, first, digits, ok := numbered(s.Name)
	if !ok || first > 1 || isDevice(s.File) {
		return nil
	}
	if first == 1 {
		zeroth, err := sibling(s, partName(stem, 0, digits))
		if err != nil {
			return err
		}
		if zeroth != nil { // a later part, opened for itself
			return zeroth.Close()
		}
	}
	for n := first + 1; ; n++ {
		name := partName(stem, n, digits)
		file, err := sibling(s, name)
		if err != nil || file == nil {
			return err
		}
		i.parts = append(i.parts, part{file, name, i.size})
		if len(i.parts) > maxParts {
			return disk.Unsupported("raw:split", "the disk has more than %d parts; join them (cat) first", maxParts)
		}
		size, err := file.Size()
		if err != nil {
			return err
		}
		if size > math.MaxInt64-i.size {
			return disk.Corrupt("raw:split", -1, "with %s the parts have more than 8 EiB together", name)
		}
		i.size += size
	}
}

// sibling opens a further part; it is nil if there is none, or none may be
// reached.
func sibling(s *disk.Source, name string) (disk.File, error) {
	file, err := s.OpenSibling(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, disk.ErrOutside) {
		return nil, nil
	}
	return file, err
}
