package disktest

import (
	"context"
	"encoding/binary"
	"io"
	"iter"
	"slices"

	"github.com/panalvm/panal/disk"
)

// Resize orders what is added and what is cut so that no old byte comes back.
func (i *toy) Resize(size int64) error {
	if !i.write {
		return disk.ErrReadOnly
	}
	if size > toyEntries*toyBlock {
		return disk.Unsupported("toy", "%d bytes are the most", toyEntries*toyBlock)
	}
	old := i.Size()
	if size > old {
		if err := i.growing(old, size); err != nil {
			return err
		}
	}
	i.mu.Lock()
	binary.LittleEndian.PutUint64(i.header[8:], uint64(size))
	_, err := i.file.WriteAt(i.header, 0)
	i.mu.Unlock()
	if err != nil || i.bug == "Resize is not durable" {
		return err
	}
	if err := i.file.Sync(); err != nil {
		return err
	}
	if size < old {
		i.cut(size)
	}
	return i.Sync()
}

// growing makes zero what will be added.
func (i *toy) growing(old, size int64) error {
	if i.bug == "grows over old content" {
		return nil
	}
	i.mu.Lock()
	if tail := old % toyBlock; tail != 0 {
		k := old / toyBlock
		if i.table[k] == 0 {
			if err := i.put(old, nil); err != nil {
				i.mu.Unlock()
				return err
			}
		}
		if i.table[k] >= 2 {
			if err := i.put(old, make([]byte, toyBlock-tail)); err != nil {
				i.mu.Unlock()
				return err
			}
		}
	}
	for k := (old + toyBlock - 1) / toyBlock; k*toyBlock < size; k++ {
		if i.parent != nil || i.table[k] != 0 {
			i.set(k, 1)
		}
	}
	i.mu.Unlock()
	return i.Sync()
}

// cut forgets the blocks behind the end.
func (i *toy) cut(size int64) {
	if i.bug == "grows over old content" {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for k := (size + toyBlock - 1) / toyBlock; k < toyEntries; k++ {
		if i.table[k] != 0 {
			i.set(k, 0)
		}
	}
}

func (i *toy) Check(context.Context) (disk.Report, error) {
	var r disk.Report
	used := i.used()
	if i.bug == "finds damage everywhere" {
		r.Add(disk.Finding{Severity: disk.Damage, Offset: -1, Reason: "none"})
	}
	size, err := i.file.Size()
	if err != nil {
		return r, err
	}
	for n, entry := range used {
		if n > 0 && used[n-1] == entry {
			r.Add(disk.Finding{Severity: disk.Damage, Offset: where(entry), Reason: "is used twice"})
		}
		if where(entry) >= size {
			r.Add(disk.Finding{Severity: disk.Damage, Offset: where(entry), Reason: "is behind the end of the file"})
		}
	}
	if end := toyBlocks + int64(len(used))*toyBlock; size > end {
		r.Leaked = size - end
		r.Add(disk.Finding{Severity: disk.Leak, Offset: -1, Reason: "blocks that nothing uses"})
	}
	return r, nil
}

// Compact moves the last blocks to where none are used.
func (i *toy) Compact(_ context.Context, progress func(done, total int64)) (int64, error) {
	if !i.write {
		return 0, disk.ErrReadOnly
	}
	if err := i.Sync(); err != nil {
		return 0, err
	}
	before, err := i.file.Size()
	if err != nil {
		return 0, err
	}
	used := i.used()
	for n := range used {
		want := uint32(n + 2)
		if _, taken := slices.BinarySearch(used, want); taken {
			continue
		}
		if err := i.move(used[len(used)-1], want); err != nil {
			return 0, err
		}
		used = i.used()
		if progress != nil {
			progress(int64(n), int64(len(used)))
		}
	}
	i.next, i.free, i.freed = uint32(len(used)+2), nil, nil
	after := toyBlocks + int64(len(used))*toyBlock
	if i.bug == "says it freed more" {
		before++
	}
	if after >= before {
		return 0, nil
	}
	return before - after, i.file.Truncate(after)
}

func (i *toy) move(from, to uint32) error {
	k := slices.Index(i.table, from)
	block := make([]byte, toyBlock)
	if _, err := i.file.ReadAt(block, where(from)); err != nil && err != io.EOF {
		return err
	}
	if i.bug == "compact loses a block" {
		clear(block)
	}
	if i.bug == "compact points before it moves" {
		i.set(int64(k), to)
		if err := i.Sync(); err != nil {
			return err
		}
	}
	if _, err := i.file.WriteAt(block, where(to)); err != nil {
		return err
	}
	i.set(int64(k), to)
	return i.Sync()
}

func (i *toy) SetUUID(uuid string) error {
	if !i.write {
		return disk.ErrReadOnly
	}
	if uuid == "" {
		uuid = "00000000-0000-4000-8000-00000000beef"
	}
	if len(uuid) != 36 {
		return disk.Usage("%q is no UUID", uuid)
	}
	copy(i.header[16:56], uuid)
	return i.putHeader(i.bug == "SetUUID writes nothing")
}

func (i *toy) SetParent(_ disk.Image, name, _ string) error {
	if !i.write {
		return disk.ErrReadOnly
	}
	clear(i.header[56:])
	i.header[56] = byte(len(name))
	copy(i.header[57:], name)
	return i.putHeader(i.bug == "SetParent writes nothing")
}

func (i *toy) putHeader(not bool) error {
	if not {
		return nil
	}
	if _, err := i.file.WriteAt(i.header, 0); err != nil {
		return err
	}
	return i.file.Sync()
}

func (i *toy) Dump(context.Context) iter.Seq2[disk.Field, error] {
	return func(yield func(disk.Field, error) bool) {
		if i.bug != "dumps nothing" {
			yield(disk.Field{Part: "header", Offset: 0, Len: 8, Name: "signature", Value: "TOYIMAGE"}, nil)
		}
	}
}

func (i *toy) Compressing() (disk.Sink, error) {
	if !i.write {
		return nil, disk.ErrReadOnly
	}
	return &toySink{toy: i}, nil
}

// toySink takes blocks in order; they are "compressed" by a byte before them.
type toySink struct{ toy *toy }

func (s *toySink) BlockSize() int { return toyBlock }

func (s *toySink) Encode(dst, block []byte) ([]byte, error) {
	if s.toy.bug == "Encode overwrites" {
		dst = dst[:0]
	}
	return append(append(dst, 'x'), block...), nil
}

func (s *toySink) Append(off int64, encoded []byte) error {
	if s.toy.bug == "Append loses the last block" && off/toyBlock == (s.toy.Size()-1)/toyBlock {
		return nil
	}
	_, err := s.toy.WriteAt(encoded[1:], off)
	return err
}

func (s *toySink) Close() error { return s.toy.Sync() }

// toyStream is an image to a pipe: what will come is known beforehand.
type toyStream struct {
	w    io.Writer
	bug  bug
	todo []int64 // offsets of blocks that are still to be written
	size int64
	err  error
}

func newToyStream(w io.Writer, t *disk.Target, b bug) *toyStream {
	s := &toyStream{w: w, bug: b, size: t.Size}
	table := make([]byte, 4*toyEntries)
	for _, e := range t.Data {
		for off := e.Off; off < e.End(); off += toyBlock {
			binary.LittleEndian.PutUint32(table[off/toyBlock*4:], uint32(len(s.todo)+2))
			s.todo = append(s.todo, off)
		}
	}
	_, s.err = w.Write(append(toyHeader(t.Size, "3b9aca00-0000-4000-8000-000000000000", ""), table...))
	return s
}

func (s *toyStream) BlockSize() int { return toyBlock }

func (s *toyStream) Encode(dst, block []byte) ([]byte, error) { return append(dst, block...), nil }

func (s *toyStream) Append(off int64, encoded []byte) error {
	for len(s.todo) > 0 && s.todo[0] <= off && s.err == nil {
		block := make([]byte, toyBlock)
		if s.todo[0] == off && s.bug != "the stream is empty" {
			copy(block, encoded)
		}
		_, s.err = s.w.Write(block)
		s.todo = s.todo[1:]
	}
	return s.err
}

func (s *toyStream) Close() error { return s.Append(s.size, nil) }
