package qcow1

import (
	"context"
	"fmt"
	"iter"

	"github.com/panalvm/panal/disk"
)

// Describe says what the header says.
func (m *image) Describe() disk.Info {
	m.writing.Lock()
	defer m.writing.Unlock()
	info := disk.Info{
		Format: formatName, Version: "1", Size: m.Size(), Allocated: m.allocated(), BlockSize: m.shape.clusterSize(), SectorSize: 512,
		Details: []disk.Detail{{Name: "L2 table", Value: fmt.Sprintf("%d entries", int64(1)<<m.shape.tableBits)}},
	}
	if m.backing != "" {
		info.Parent = &disk.Link{Name: m.backing}
	}
	return info
}

// allocated is what the file occupies, or its length.
func (m *image) allocated() int64 {
	if a, ok := m.file.(disk.Allocated); ok {
		if n, err := a.Allocated(); err == nil {
			return n
		}
	}
	n, _ := m.file.Size()
	return n
}

// Dump yields the fields of the header, and the L1 table in short.
func (m *image) Dump(ctx context.Context) iter.Seq2[disk.Field, error] {
	return func(yield func(disk.Field, error) bool) {
		for _, f := range m.dumpHeader() {
			if !yield(f, nil) {
				return
			}
		}
		used, err := m.l1Used(ctx)
		if err != nil {
			yield(disk.Field{}, err)
			return
		}
		n := m.shape.l1Bytes()
		yield(disk.Field{
			Part: "L1 table", Offset: m.shape.l1Offset, Len: int(n), Name: "L2 tables", Value: fmt.Sprint(used),
			Note: fmt.Sprintf("of %d; each speaks of %d bytes", n/8, m.shape.span()),
		}, nil)
	}
}

func (m *image) dumpHeader() []disk.Field {
	m.writing.Lock()
	h, backing := m.h, m.backing
	m.writing.Unlock()
	field := func(at int64, n int, name, value, note string) disk.Field {
		return disk.Field{Part: "header", Offset: at, Len: n, Name: name, Value: value, Note: note}
	}
	return []disk.Field{
		field(0, 4, "signature", fmt.Sprintf("%#x", uint32(magic)), `"QFI\xfb"`),
		field(4, 4, "version", "1", ""),
		field(8, 8, "backing file's name at", fmt.Sprintf("%#x", h.backingOffset), backing),
		field(16, 4, "backing file's name length", fmt.Sprint(h.backingLen), ""),
		field(20, 4, "time of the backing file", fmt.Sprint(h.mtime), "unused"),
		field(24, 8, "disk size", fmt.Sprint(h.size), ""),
		field(32, 1, "cluster bits", fmt.Sprint(h.clusterBits), fmt.Sprintf("%d bytes", h.clusterSize())),
		field(33, 1, "L2 bits", fmt.Sprint(h.tableBits), fmt.Sprintf("%d bytes", h.tableBytes())),
		field(36, 4, "encryption", fmt.Sprint(h.crypt), ""),
		field(40, 8, "L1 table at", fmt.Sprintf("%#x", h.l1Offset), ""),
	}
}

// l1Used is how many entries of the L1 table point to something.
func (m *image) l1Used(ctx context.Context) (int64, error) {
	used := int64(0)
	for at := int64(0); at < m.shape.l1Bytes(); at += 8 {
		if at%(1<<16) == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		v, err := m.tables.Uint64(m.shape.l1Offset + at)
		if err != nil {
			return 0, err
		}
		if v != 0 {
			used++
		}
	}
	return used, nil
}
