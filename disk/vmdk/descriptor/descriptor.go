// Package descriptor reads and edits the text that describes a VMDK: which
// files it is made of, what its parent is, and a small data base of settings.
//
//	# Disk DescriptorFile
//	version=1
//	CID=216bc064                          changes with the content
//	parentCID=ffffffff                    the parent's CID; ffffffff: no parent
//	createType="twoGbMaxExtentSparse"
//	parentFileNameHint="base.vmdk"        of a delta only
//
//	# Extent description
//	RW 8323072 SPARSE "disk-s001.vmdk"    access, sectors, kind, file, first sector in it
//
//	# The Disk Data Base
//	#DDB
//	ddb.adapterType = "lsilogic"
//
// What is not changed is kept byte for byte: comments, order, unknown keys,
// the ends of lines.
package descriptor

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// MaxSize is the longest text that is read, in bytes: the largest disk in the
// smallest extents stays far below it.
const MaxSize = 4 << 20

// ErrNot says that a text is no descriptor at all.
var ErrNot = errors.New("the text is not a disk descriptor")

// Descriptor is a parsed text.
type Descriptor struct {
	lines []line
	crlf  bool // lines end like Windows'
}

// line is one line, in the bytes of the file.
type line struct {
	text string
	kind kind
	key  string // of a setting
}

type kind int

const (
	other   kind = iota // empty, a comment, or not understood
	setting             // key = value
	extent
)

// Parse reads a text. It ends at the first NUL, which is how embedded ones
// are padded.
func Parse(text []byte) (*Descriptor, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("the descriptor has %d bytes, more than %d", len(text), MaxSize)
	}
	if i := bytes.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	d := &Descriptor{crlf: bytes.Contains(text, []byte("\r\n"))}
	for s := range strings.Lines(string(text)) {
		d.lines = append(d.lines, parseLine(strings.TrimRight(s, "\r\n")))
	}
	if _, ok := d.Get("version"); ok {
		return d, nil
	}
	if _, ok := d.Get("createType"); ok {
		return d, nil
	}
	return nil, ErrNot
}

// New makes a descriptor of lines that are well-formed.
func New(lines ...string) *Descriptor {
	d := &Descriptor{}
	for _, s := range lines {
		d.lines = append(d.lines, parseLine(s))
	}
	return d
}

func parseLine(text string) line {
	l := line{text: text}
	s := strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
	if s == "" || s[0] == '#' {
		return l
	}
	word := s
	if i := strings.IndexAny(s, " \t="); i >= 0 {
		word = s[:i]
	}
	switch Access(strings.ToUpper(word)) {
	case ReadWrite, ReadOnly, NoAccess:
		l.kind = extent
		return l
	}
	if key, _, ok := strings.Cut(s, "="); ok {
		l.kind, l.key = setting, strings.TrimSpace(key)
	}
	return l
}

// Bytes is the text as it is to be stored.
func (d *Descriptor) Bytes() []byte {
	var b bytes.Buffer
	for _, l := range d.lines {
		b.WriteString(l.text)
		if d.crlf {
			b.WriteByte('\r')
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// Lines are the lines, without their ends.
func (d *Descriptor) Lines() []string {
	all := make([]string, len(d.lines))
	for i, l := range d.lines {
		all[i] = l.text
	}
	return all
}

// Clone is a copy that can be edited apart.
func (d *Descriptor) Clone() *Descriptor {
	return &Descriptor{lines: append([]line(nil), d.lines...), crlf: d.crlf}
}

func (d *Descriptor) find(key string) int {
	for i, l := range d.lines {
		if l.kind == setting && strings.EqualFold(l.key, key) {
			return i
		}
	}
	return -1
}

// Get is the value of a setting, without quotes, in UTF-8. Keys have no case.
func (d *Descriptor) Get(key string) (string, bool) {
	i := d.find(key)
	if i < 0 {
		return "", false
	}
	_, value, _ := strings.Cut(d.lines[i].text, "=")
	return d.decode(unquote(value)), true
}

// Text is the value of a setting, "" when it is missing.
func (d *Descriptor) Text(key string) string {
	value, _ := d.Get(key)
	return value
}

// unquote takes the value out of its quotes. A quote within is kept: names
// may have them, so the last one of the line counts.
func unquote(value string) string {
	value = strings.TrimSpace(value)
	if !strings.HasPrefix(value, `"`) {
		return value
	}
	value = value[1:]
	if i := strings.LastIndexByte(value, '"'); i >= 0 {
		value = value[:i]
	}
	return value
}

// Set changes a setting, or adds it: to the data base when its name begins
// with "ddb.", else to the header. A line that exists keeps its form.
func (d *Descriptor) Set(key, value string) error {
	if strings.ContainsAny(value, "\r\n\x00") {
		return fmt.Errorf("%q cannot be written into a descriptor: it has a control character", value)
	}
	raw, err := d.encode(value)
	if err != nil {
		return err
	}
	if i := d.find(key); i >= 0 {
		d.lines[i].text = withValue(d.lines[i].text, raw)
		return nil
	}
	if strings.HasPrefix(strings.ToLower(key), "ddb.") {
		d.insert(d.lastDDB()+1, fmt.Sprintf(`%s = "%s"`, key, raw))
		return nil
	}
	d.insert(d.endOfHeader(), fmt.Sprintf(`%s="%s"`, key, raw))
	return nil
}

// withValue puts a value into a line, quoted if the old one was.
func withValue(text, value string) string {
	head, old, _ := strings.Cut(text, "=")
	space := old[:len(old)-len(strings.TrimLeft(old, " \t"))]
	if strings.HasPrefix(strings.TrimSpace(old), `"`) {
		value = `"` + value + `"`
	}
	return head + "=" + space + value
}

// Delete removes a setting, if there.
func (d *Descriptor) Delete(key string) {
	if i := d.find(key); i >= 0 {
		d.lines = append(d.lines[:i], d.lines[i+1:]...)
	}
}

func (d *Descriptor) insert(i int, text string) {
	d.lines = append(d.lines[:i], append([]line{parseLine(text)}, d.lines[i:]...)...)
}

// endOfHeader is the line behind the header's last setting.
func (d *Descriptor) endOfHeader() int {
	end := 0
	for i, l := range d.lines {
		if l.kind == extent {
			break
		}
		if l.kind == setting && !strings.HasPrefix(strings.ToLower(l.key), "ddb.") {
			end = i + 1
		}
	}
	return end
}

func (d *Descriptor) lastDDB() int {
	last := len(d.lines) - 1
	for i, l := range d.lines {
		if l.kind == setting && strings.HasPrefix(strings.ToLower(l.key), "ddb.") {
			last = i
		}
	}
	return last
}
