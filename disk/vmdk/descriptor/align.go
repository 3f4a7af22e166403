package descriptor

import "strings"

// A change that lies within one sector of a file happens, or does not happen,
// when the power is cut. The descriptors that Panal makes have a comment between the
// part that changes and the data base, which grows when that part becomes
// shorter, so that what follows never moves.

// filler begins the comment.
const filler = "# room for changes "

// fillerAt is the filler's line; -1 if there is none.
func (d *Descriptor) fillerAt() int {
	for i, l := range d.lines {
		if strings.HasPrefix(l.text, filler) {
			return i
		}
	}
	return -1
}

// Align makes what follows the filler begin at a multiple of unit: where it did
// if that is possible, else later. Without a filler nothing happens. before is the
// offset at which it began, 0 if that is unknown.
func (d *Descriptor) Align(unit int, before int) {
	i := d.fillerAt()
	if i < 0 {
		return
	}
	d.lines[i].text = filler
	start := d.offsetOf(i + 1)
	want := before
	if want < start {
		want = (start + unit - 1) / unit * unit
	}
	d.lines[i].text += strings.Repeat(".", want-start)
}

// Aligned is where what follows the filler begins; 0 if there is none.
func (d *Descriptor) Aligned() int {
	i := d.fillerAt()
	if i < 0 {
		return 0
	}
	return d.offsetOf(i + 1)
}

func (d *Descriptor) offsetOf(line int) int {
	n := 0
	for _, l := range d.lines[:line] {
		n += len(l.text) + 1
		if d.crlf {
			n++
		}
	}
	return n
}

// Filler is the line to be put into a new descriptor.
func Filler() string { return filler }
