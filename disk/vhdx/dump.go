package vhdx

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	"github.com/panalvm/panal/disk"
)

// maxDumped is how many entries of the log and pieces of the table are shown.
const maxDumped = 64

// dumper hands out fields until nobody wants more.
type dumper struct {
	*image
	ctx   context.Context
	yield func(disk.Field, error) bool
	done  bool
	part  string
}

// Dump yields the fields of the headers, of the log, of the metadata, and what
// the table holds in short.
func (m *image) Dump(ctx context.Context) iter.Seq2[disk.Field, error] {
	return func(yield func(disk.Field, error) bool) {
		d := &dumper{image: m, ctx: ctx, yield: yield}
		for _, part := range []func() error{d.identifier, d.bothHeaders, d.regionTables, d.log, d.metadataTable, d.items, d.table} {
			if err := part(); err != nil && !d.done {
				yield(disk.Field{}, err)
				return
			}
			if d.done {
				return
			}
		}
	}
}

// field yields a field of the current part.
func (d *dumper) field(off int64, n int, name, value, note string) {
	if !d.done {
		d.done = !d.yield(disk.Field{Part: d.part, Offset: off, Len: n, Name: name, Value: value, Note: note}, nil)
	}
}

func (d *dumper) number(off int64, n int, name string, v int64, note string) {
	d.field(off, n, name, strconv.FormatInt(v, 10), note)
}

func (d *dumper) place(off int64, n int, name string, v int64, note string) {
	d.field(off, n, name, fmt.Sprintf("%#x", v), note)
}

func (d *dumper) identifier() error {
	d.part = "file type identifier"
	d.field(0, 8, "signature", strconv.Quote(signature), "")
	d.field(8, creatorLength, "creator", strconv.Quote(d.creator), "")
	return nil
}

// bothHeaders shows the headers as they stand in the file.
func (d *dumper) bothHeaders() error {
	d.mu.RLock()
	ruling := d.headers.slot
	d.mu.RUnlock()
	for i, at := range headerPlaces {
		d.part = fmt.Sprintf("header %d", i+1)
		p, err := disk.ReadFull(d.file, at, headerLength, name, "header")
		if err != nil {
			return err
		}
		h, err := decodeHeader(p, at)
		note := ""
		if err != nil {
			note = err.Error()
		} else if i == ruling {
			note = "this header rules"
		}
		d.field(at, 4, "signature", strconv.Quote(string(p[:4])), note)
		if err == nil {
			d.header(h, at)
		}
	}
	return nil
}

func (d *dumper) header(h header, at int64) {
	d.number(at+8, 8, "sequence number", int64(h.sequence), "")
	d.field(at+16, 16, "file write GUID", h.fileWrite.String(), "")
	d.field(at+32, 16, "data write GUID", h.dataWrite.String(), "children name their parent by it")
	note := "the log is empty"
	if !h.log.zero() {
		note = "the log is to be replayed"
	}
	d.field(at+48, 16, "log GUID", h.log.String(), note)
	d.number(at+64, 2, "log version", int64(h.logVersion), "")
	d.number(at+66, 2, "version", int64(h.version), "")
	d.number(at+68, 4, "log length", h.logLength, "")
	d.place(at+72, 8, "log offset", h.logOffset, "")
}

func (d *dumper) regionTables() error {
	for i, at := range regionPlaces {
		d.part = fmt.Sprintf("region table %d", i+1)
		if fault := d.regions.faults[i]; fault != nil {
			d.field(at, 4, "signature", "", fault.Error())
			continue
		}
		d.mu.RLock()
		list := d.regions.list
		d.mu.RUnlock()
		d.number(at+8, 4, "entries", int64(len(list)), "")
		for n, r := range list {
			d.field(at+16+32*int64(n), 32, "region "+r.id.String(), fmt.Sprintf("%#x +%#x", r.off, r.length), regionTitle(r))
		}
	}
	return nil
}

func regionTitle(r region) string {
	switch r.id.String() {
	case regionBAT:
		return "block allocation table"
	case regionMetadata:
		return "metadata"
	}
	return "unknown, not required"
}

// log shows the entries that are to be replayed.
func (d *dumper) log() error {
	d.part = "log"
	o, ok := d.file.(*overlay)
	if !ok {
		return nil
	}
	run, err := o.log.active()
	if err != nil {
		return err
	}
	for _, e := range run[:min(len(run), maxDumped)] {
		at := o.log.place.off + e.pos
		d.number(at, int(e.length), "entry", int64(e.sequence), fmt.Sprintf("%d descriptors, tail %#x, file %#x long, %#x flushed", e.count, e.tail, e.last, e.flushed))
		shown := 0
		err := o.log.changes(e, func(c change) error {
			if shown++; shown <= maxDumped {
				d.place(at+entryHeader+int64(shown-1)*descriptor, descriptor, changeTitle(c), c.off, "")
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func changeTitle(c change) string {
	if c.data < 0 {
		return fmt.Sprintf("%d zeros at", c.length)
	}
	return "sector at"
}

func (d *dumper) metadataTable() error {
	d.part = "metadata table"
	at := d.metadata.off
	d.number(at+10, 2, "entries", int64(len(d.metadata.items)), "")
	for i, it := range d.metadata.items {
		d.field(at+32+32*int64(i), 32, "item "+it.id.String(), fmt.Sprintf("%#x +%#x", it.offset, it.length), flagsTitle(it.flags))
	}
	return nil
}

func flagsTitle(flags uint32) string {
	text := "of the file"
	if flags&flagDisk != 0 {
		text = "of the disk"
	}
	if flags&flagUser != 0 {
		text += ", a user's"
	}
	if flags&flagRequired != 0 {
		text += ", required"
	}
	return text
}

func (d *dumper) items() error {
	d.part = "metadata"
	m := &d.metadata
	d.number(m.place(itemParameters), 4, "block size", m.blockSize, "")
	d.field(m.place(itemParameters)+4, 4, "kind", m.kind(), "")
	d.number(m.place(itemSize), 8, "disk size", m.size, "")
	if _, ok := m.find(itemPage83); ok {
		d.field(m.place(itemPage83), 16, "identity", m.page83.String(), "SCSI page 83")
	}
	d.number(m.place(itemLogical), 4, "logical sector size", m.logical, "")
	if _, ok := m.find(itemPhysical); ok {
		d.number(m.place(itemPhysical), 4, "physical sector size", m.physical, "")
	}
	if it, ok := m.find(itemLocator); ok {
		d.part = "parent locator"
		for _, e := range m.locator {
			d.field(m.off+it.offset, int(it.length), e.key, strconv.Quote(e.value), "")
		}
	}
	return nil
}

// table shows runs of the disk that are in one state.
func (d *dumper) table() error {
	d.part = "block allocation table"
	d.number(d.image.table.off, int(d.image.table.length), "blocks", d.blocks(d.Size()), fmt.Sprintf("of %d bytes, with a bitmap after %d", d.blockSize(), int64(1)<<d.chunk))
	shown := 0
	for x, err := range disk.Extents(d.ctx, d.image, 0, d.Size()) {
		if err != nil {
			return err
		}
		if shown++; shown > maxDumped {
			d.field(d.image.table.off, 0, "…", "", "there is more; ask for the map")
			return nil
		}
		at := d.image.table.off + d.payloadIndex(x.Off>>d.block)*entryLength
		d.field(at, entryLength, fmt.Sprintf("[%#x,+%#x)", x.Off, x.Len), x.State.String(), where(x))
		if d.done {
			return nil
		}
	}
	return nil
}

func where(x disk.Extent) string {
	if x.State != disk.Data {
		return ""
	}
	return fmt.Sprintf("at %#x of the file", x.HostOff)
}
