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

// numbering is how the parts of a disk are called: disk.000, disk.001 or
// disk.aa, disk.ab, within its directory.
type numbering struct {
	stem    string // up to the point
	first   int    // number of the part that was named
	width   int    // digits or letters
	letters bool
}

// numberingOf takes the name of a part apart. Letters are understood of a first
// part only.
func numberingOf(name string) (numbering, bool) {
	base := name[strings.LastIndexByte(name, '/')+1:]
	dot := strings.LastIndexByte(base, '.')
	if dot <= 0 {
		return numbering{}, false
	}
	suffix := base[dot+1:]
	n := numbering{stem: base[:dot], width: len(suffix)}
	if strings.Trim(suffix, "a") == "" {
		n.letters = true
		return n, n.width >= 2 && n.width <= 5
	}
	number, err := strconv.ParseUint(suffix, 10, 31)
	n.first = int(number)
	return n, err == nil && n.width >= 3 && n.width <= 9
}

// isFirst tells whether the named part can be a disk's first.
func (n numbering) isFirst() bool { return n.first <= 1 }

// widened is the number of the first part for which split(1) takes longer names,
// when it was not told how many letters to use: az, …, yz, zaaa.
const widened = 25 * 26

// name is the name of a part within the disk's directory.
func (n numbering) name(number int) string {
	if !n.letters {
		return fmt.Sprintf("%s.%0*d", n.stem, n.width, number)
	}
	if n.width == 2 && number >= widened {
		return n.stem + ".z" + inLetters(number-widened, 3)
	}
	return n.stem + "." + inLetters(number, n.width)
}

// inLetters writes a number with letters for digits.
func inLetters(number, width int) string {
	p := make([]byte, width)
	for i := width - 1; i >= 0; i-- {
		p[i] = byte('a' + number%26)
		number /= 26
	}
	return string(p)
}

// addParts opens the further parts of a disk whose first is open: those that
// count on from .aa, from .000, or from .001 when there is no .000.
func (i *image) addParts(s *disk.Source) error {
	numbers, ok := numberingOf(s.Name)
	if !ok || !numbers.isFirst() || isDevice(s.File) {
		return nil
	}
	if numbers.first == 1 {
		zeroth, err := sibling(s, numbers.name(0))
		if err != nil {
			return err
		}
		if zeroth != nil { // a later part, opened for itself
			return zeroth.Close()
		}
	}
	for n := numbers.first + 1; ; n++ {
		name := numbers.name(n)
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
