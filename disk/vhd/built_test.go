package vhd_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// built is an image put together by hand, from the offsets of Microsoft's
// specification, so that errors in our own reading of it do not cancel out.
type built struct {
	creator  string // "qem2" if empty
	kind     uint32
	current  uint64
	chs      [3]int // none: all zero
	id       byte   // the UUID is 16 times this
	block    uint32
	tableAt  int // 1536 unless said
	blocks   []*blockOf
	parent   byte
	name     []byte // of the parent, as it stands in the header
	locators []locatorOf
	batmap   []byte // XenServer's
	stamp    uint32

	parentStamp uint32
}

// blockOf is a block: its sectors, of which those with a bit count.
type blockOf struct {
	bitmap []byte
	data   []byte
}

type locatorOf struct {
	code string
	data []byte
}

func sum(p []byte, at int) []byte {
	binary.BigEndian.PutUint32(p[at:], 0)
	total := uint32(0)
	for _, b := range p {
		total += uint32(b)
	}
	binary.BigEndian.PutUint32(p[at:], ^total)
	return p
}

func (b built) footer() []byte {
	p := make([]byte, 512)
	copy(p, "conectix")
	binary.BigEndian.PutUint32(p[8:], 2)
	binary.BigEndian.PutUint32(p[12:], 0x00010000)
	binary.BigEndian.PutUint64(p[16:], 512)
	if b.kind == 2 {
		binary.BigEndian.PutUint64(p[16:], 0xffffffffffffffff)
	}
	binary.BigEndian.PutUint32(p[24:], b.stamp)
	if b.creator == "" {
		b.creator = "qem2"
	}
	copy(p[28:32], b.creator)
	copy(p[36:40], "Wi2k")
	binary.BigEndian.PutUint64(p[40:], b.current)
	binary.BigEndian.PutUint64(p[48:], b.current)
	binary.BigEndian.PutUint16(p[56:], uint16(b.chs[0]))
	p[58], p[59] = byte(b.chs[1]), byte(b.chs[2])
	binary.BigEndian.PutUint32(p[60:], b.kind)
	copy(p[68:], bytes.Repeat([]byte{b.id}, 16))
	return sum(p, 64)
}

// bytes is the whole file: footer, header, table, locators, blocks, footer.
func (b built) bytes() []byte {
	if b.tableAt == 0 {
		b.tableAt = 1536
	}
	file := append(b.footer(), make([]byte, 1024)...)
	put := func(at int, p []byte) {
		if need := at + len(p) - len(file); need > 0 {
			file = append(file, make([]byte, need)...)
		}
		copy(file[at:], p)
	}
	up := func(n int) int { return (n + 511) / 512 * 512 }
	end := up(b.tableAt + 4*len(b.blocks))
	if b.batmap != nil {
		head := make([]byte, 512)
		copy(head, "tdbatmap")
		binary.BigEndian.PutUint64(head[8:], uint64(end+512))
		binary.BigEndian.PutUint32(head[16:], 1)
		put(end, head)
		put(end+512, append(b.batmap, make([]byte, 512-len(b.batmap))...))
		end += 1024
	}
	h := make([]byte, 1024)
	copy(h, "cxsparse")
	binary.BigEndian.PutUint64(h[8:], 0xffffffffffffffff)
	binary.BigEndian.PutUint64(h[16:], uint64(b.tableAt))
	binary.BigEndian.PutUint32(h[24:], 0x00010000)
	binary.BigEndian.PutUint32(h[28:], uint32(len(b.blocks)))
	binary.BigEndian.PutUint32(h[32:], b.block)
	copy(h[40:], bytes.Repeat([]byte{b.parent}, 16))
	binary.BigEndian.PutUint32(h[56:], b.parentStamp)
	copy(h[64:576], b.name)
	for i, l := range b.locators {
		at := 576 + 24*i
		copy(h[at:], l.code)
		binary.BigEndian.PutUint32(h[at+4:], 1)
		binary.BigEndian.PutUint32(h[at+8:], uint32(len(l.data)))
		binary.BigEndian.PutUint64(h[at+16:], uint64(end))
		put(end, append(bytes.Clone(l.data), make([]byte, up(len(l.data))-len(l.data))...))
		end = up(end + len(l.data))
	}
	put(512, sum(h, 36))
	table := make([]byte, 4*len(b.blocks))
	for i, block := range b.blocks {
		binary.BigEndian.PutUint32(table[4*i:], 0xffffffff)
		if block == nil {
			continue
		}
		binary.BigEndian.PutUint32(table[4*i:], uint32(end/512))
		put(end, append(bytes.Clone(block.bitmap), make([]byte, 512-len(block.bitmap))...))
		put(end+512, block.data)
		end += 512 + int(b.block)
	}
	put(b.tableAt, table)
	put(up(max(end, len(file))), b.footer())
	return file
}

// sectors is data, each sector filled with its own byte.
func sectors(fill ...byte) []byte {
	var p []byte
	for _, b := range fill {
		p = append(p, bytes.Repeat([]byte{b}, 512)...)
	}
	return p
}

// utf16le and utf16be write a path as the platforms do.
func utf16le(s string) []byte {
	var p []byte
	for _, u := range utf16.Encode([]rune(s)) {
		p = binary.LittleEndian.AppendUint16(p, u)
	}
	return p
}

func utf16be(s string) []byte {
	var p []byte
	for _, u := range utf16.Encode([]rune(s)) {
		p = binary.BigEndian.AppendUint16(p, u)
	}
	return p
}

func uuidOf(b byte) string {
	h := strings.Repeat(string("0123456789abcdef"[b>>4])+string("0123456789abcdef"[b&15]), 16)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func openBuilt(t *testing.T, files map[string][]byte, name string, o disk.Options) (disk.Image, error) {
	t.Helper()
	fs := memfs.New()
	for n, p := range files {
		fs.Put(n, p)
	}
	o.FS, o.Formats = fs, formats
	img, err := disk.Open(name, o)
	if err == nil {
		t.Cleanup(func() { _ = img.Close() })
	}
	return img, err
}

func mustOpen(t *testing.T, p []byte, write bool) disk.Image {
	t.Helper()
	img, err := openBuilt(t, map[string][]byte{"a.vhd": p}, "a.vhd", disk.Options{Write: write})
	if err != nil {
		t.Fatal(err)
	}
	return img
}
