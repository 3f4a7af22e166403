package disktest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"github.com/panalvm/panal/disk"
)

// The toy is a format that does all that formats can do, and that can be told
// to do it wrongly: bug names what.
//
//	0       512       16896
//	header  table     blocks of 4 KiB…
//
// An entry of the table is 0 (unallocated), 1 (zero), or 2 and the block's
// number.
const (
	toyBlock   = 4096
	toyEntries = 4096
	toyTable   = 512
	toyBlocks  = toyTable + 4*toyEntries
)

// bug is what a toy does wrongly; "" is nothing.
type bug string

// toyFormat is the format with a bug.
func toyFormat(b bug) *disk.Format {
	return &disk.Format{
		Name: "toy", Extensions: []string{"toy"}, Title: "An image to test tests with",
		Variants: []disk.Variant{{Name: "plain", Create: true, Write: true, Stream: true, Parent: true}},
		Probe: func(s disk.Sample) disk.Confidence {
			if len(s.Head) >= 512 && string(s.Head[:8]) == "TOYIMAGE" {
				return disk.Certain
			}
			return disk.No
		},
		Open:   func(s *disk.Source) (disk.Image, error) { return openToy(s, b) },
		Create: func(t *disk.Target) (disk.Image, error) { return createToy(t, b) },
		Stream: func(w io.Writer, t *disk.Target) (disk.Sink, error) { return newToyStream(w, t, b), nil },
	}
}

// toySubject is the toy with a bug, as the suite takes it.
func toySubject(b bug) Subject {
	return Subject{Format: toyFormat(b), Variant: "plain", Block: toyBlock, Size: 300<<10 + 512}.withDefaults()
}

// toy is an image.
type toy struct {
	bug    bug
	file   disk.File
	write  bool
	parent disk.Image
	owned  bool // whether the parent is closed with the image

	mu     sync.RWMutex // guards what follows
	header []byte
	table  []uint32
	next   uint32   // the first block behind all that were given out
	freed  []uint32 // blocks that may be used again after a Sync
	free   []uint32 // blocks that may be used again
	dirty  bool
}

func toyHeader(size int64, uuid, parent string) []byte {
	h := make([]byte, 512)
	copy(h, "TOYIMAGE")
	binary.LittleEndian.PutUint64(h[8:], uint64(size))
	copy(h[16:56], uuid)
	h[56] = byte(len(parent))
	copy(h[57:], parent)
	return h
}

func createToy(t *disk.Target, b bug) (disk.Image, error) {
	i := &toy{bug: b, file: t.File, write: true, parent: t.Parent, table: make([]uint32, toyEntries), next: 2}
	uuid := t.UUID
	if uuid == "" {
		uuid = "3b9aca00-0000-4000-8000-000000000000"
	}
	i.header = toyHeader(t.Size, uuid, t.ParentName)
	if b == "new image holds rubbish" {
		i.table[0], i.next = 2, 3
		if _, err := i.file.WriteAt([]byte("rubbish"), toyBlocks); err != nil {
			return nil, err
		}
	}
	i.dirty = true
	_, err := i.file.WriteAt(i.header, 0)
	if err = errors.Join(err, i.Sync()); err != nil {
		return nil, errors.Join(err, i.file.Close())
	}
	return i, nil
}

func openToy(s *disk.Source, b bug) (disk.Image, error) {
	i := &toy{bug: b, file: s.File, write: s.Write, owned: true, next: 2}
	if err := i.load(s); err != nil {
		if b == "leaks a file when opening fails" {
			return nil, err
		}
		return nil, errors.Join(err, s.File.Close())
	}
	if b == "opening marks the file" {
		mark(s.File)
	}
	return i, nil
}

// mark writes to a file behind the back of whoever opened it for reading.
func mark(f disk.File) {
	file := f.(*watchedFile)
	if again, err := file.fs.FS.Open(file.Name(), true); err == nil {
		_, _ = again.WriteAt([]byte{1}, 200)
		_ = again.Close()
	}
}

func (i *toy) load(s *disk.Source) (err error) {
	if i.header, err = disk.ReadFull(s.File, 0, 512, "toy", "header"); err != nil {
		return err
	}
	if i.bug == "allocates what a header says" {
		_ = make([]byte, i.header[100])
		i.freed = make([]uint32, int(i.header[101])<<20)
		i.freed = nil
	}
	for n := uint32(0); i.bug == "reads for ever" && i.header[102] != 0 && n < 1<<22; n++ {
		if _, err := s.File.ReadAt(make([]byte, 1), 0); err != nil {
			return err
		}
	}
	if string(i.header[:8]) != "TOYIMAGE" && i.bug != "panics on rubbish" {
		return disk.Corrupt("toy", 0, "no signature")
	}
	if i.Size() < 0 || i.Size() > toyEntries*toyBlock {
		if i.bug == "panics on rubbish" {
			panic("size")
		}
		return disk.Corrupt("toy", 8, "a size of %d", i.Size())
	}
	if size, err := s.File.Size(); err != nil || size < toyBlocks && i.bug == "panics on short files" {
		panic("short")
	}
	raw, err := disk.ReadFull(s.File, toyTable, 4*toyEntries, "toy", "table")
	if err != nil {
		return err
	}
	i.table = make([]uint32, toyEntries)
	for k := range i.table {
		i.table[k] = binary.LittleEndian.Uint32(raw[4*k:])
		i.next = max(i.next, i.table[k]+1)
	}
	if name := i.parentName(); name != "" {
		i.parent, err = s.OpenParent(disk.ParentRef{Paths: []string{name}})
		if i.bug == "does not miss its parent" && errors.Is(err, disk.ErrNoParent) {
			err = nil
		}
	}
	return err
}

func (i *toy) parentName() string {
	n := min(int(i.header[56]), 200)
	return string(i.header[57 : 57+n])
}

func (i *toy) Size() int64 { return int64(binary.LittleEndian.Uint64(i.header[8:])) }

func (i *toy) Parent() disk.Image { return i.parent }

func (i *toy) CanWrite() bool { return i.write || i.bug == "says it can write" }

func (i *toy) Describe() disk.Info {
	info := disk.Info{Format: "toy", Variant: "plain", Size: i.Size(), UUID: string(i.header[16:52]), BlockSize: toyBlock}
	if i.bug == "describes another format" {
		info.Format = "troy"
	}
	if name := i.parentName(); name != "" {
		info.Parent = &disk.Link{Name: name}
	}
	return info
}

func (i *toy) Close() error {
	err := i.Sync()
	if errors.Is(err, disk.ErrReadOnly) {
		err = nil
	}
	if i.parent != nil && i.owned && i.bug != "leaves the parent open" {
		err = errors.Join(err, i.parent.Close())
	}
	return errors.Join(err, i.file.Close())
}

// where is the place of a block in the file.
func where(entry uint32) int64 { return toyBlocks + int64(entry-2)*toyBlock }

func (i *toy) Map(off, n int64) (disk.Extent, error) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	e := disk.Extent{Off: off, Len: min(n, toyBlock-off%toyBlock)}
	switch entry := i.table[off/toyBlock]; entry {
	case 0:
		if i.bug == "maps unallocated as zero" {
			e.State = disk.Zeroed
		}
	case 1:
		e.State = disk.Zeroed
		if i.bug == "zero shows the parent" {
			e.State = disk.Unallocated
		}
	default:
		e.State, e.File, e.HostOff = disk.Data, i.file, where(entry)+off%toyBlock
	}
	switch i.bug {
	case "maps data elsewhere":
		e.HostOff += 512
	case "maps too far":
		e.Len = n
	case "Map allocates":
		_ = fmt.Sprint(off, n)
	}
	return e, nil
}

func (i *toy) ReadAt(p []byte, off int64) (int, error) {
	switch i.bug {
	case "reads beyond the end":
		if off >= 0 && off+int64(len(p)) > i.Size() {
			return len(p), nil
		}
	case "no EOF":
		n, err := disk.ReadThrough(i, p, off, nil)
		if err == io.EOF {
			err = nil
		}
		return n, err
	case "reads with alignment":
		if off%512 != 0 && off > 512 {
			off--
		}
	}
	return disk.ReadThrough(i, p, off, nil)
}

func (i *toy) WriteAt(p []byte, off int64) (int, error) {
	if !i.write && i.bug != "says nothing of read-only" {
		return 0, disk.ErrReadOnly
	}
	if !i.write {
		return len(p), nil
	}
	if i.bug == "writes what fits" && off >= 0 && off < i.Size() {
		p = p[:min(int64(len(p)), i.Size()-off)]
	}
	if err := disk.InRange(off, int64(len(p)), i.Size()); err != nil {
		return 0, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	done := 0
	for done < len(p) {
		at := off + int64(done)
		n := min(toyBlock-int(at%toyBlock), len(p)-done)
		if err := i.put(at, p[done:done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// put writes a part of one block.
func (i *toy) put(off int64, p []byte) error {
	k, inside := off/toyBlock, off%toyBlock
	if entry := i.table[k]; entry >= 2 {
		_, err := i.file.WriteAt(p, where(entry)+inside)
		return err
	}
	block := make([]byte, toyBlock)
	if i.table[k] == 0 && i.bug != "no copy on write" {
		if err := disk.ReadParent(i.parent, block, k*toyBlock); err != nil {
			return err
		}
		if size := i.Size(); size < (k+1)*toyBlock {
			clear(block[size-k*toyBlock:])
		}
	}
	copy(block[inside:], p)
	if i.bug == "copies blocks without a lock" {
		i.mu.Unlock()
		runtime.Gosched()
		i.mu.Lock()
	}
	entry := i.allocate()
	if i.bug == "points before it writes" {
		i.set(k, entry)
		if err := i.flush(); err != nil {
			return err
		}
	}
	if _, err := i.file.WriteAt(block, where(entry)); err != nil {
		return err
	}
	i.set(k, entry)
	return nil
}

func (i *toy) allocate() uint32 {
	if last := len(i.free) - 1; last >= 0 {
		entry := i.free[last]
		i.free = i.free[:last]
		return entry
	}
	i.next++
	return i.next - 1
}

func (i *toy) set(k int64, entry uint32) {
	if old := i.table[k]; old >= 2 {
		if i.bug == "uses freed blocks at once" {
			i.free = append(i.free, old)
		} else {
			i.freed = append(i.freed, old)
		}
	}
	i.table[k], i.dirty = entry, true
}

// Sync orders data before pointers.
func (i *toy) Sync() error {
	if !i.write {
		return disk.ErrReadOnly
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.bug == "Sync does nothing" {
		return nil
	}
	if i.bug != "pointers before data" {
		if err := i.file.Sync(); err != nil {
			return err
		}
	}
	if !i.dirty {
		return nil
	}
	if err := i.flush(); err != nil {
		return err
	}
	i.dirty = i.bug == "forgets the second sync"
	i.free, i.freed = append(i.free, i.freed...), nil
	if i.bug == "forgets the second sync" {
		return nil
	}
	return i.file.Sync()
}

// flush writes the table.
func (i *toy) flush() error {
	raw := make([]byte, 4*toyEntries)
	for k, entry := range i.table {
		binary.LittleEndian.PutUint32(raw[4*k:], entry)
	}
	_, err := i.file.WriteAt(raw, toyTable)
	return err
}

func (i *toy) ZeroAt(off, n int64) error {
	if !i.write {
		return disk.ErrReadOnly
	}
	if err := disk.InRange(off, n, i.Size()); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.zero(off, n, 1)
}

// zero sets whole blocks to an entry and writes zeros to parts of blocks.
func (i *toy) zero(off, n int64, entry uint32) error {
	for n > 0 {
		length := min(n, toyBlock-off%toyBlock)
		switch {
		case length == toyBlock, off%toyBlock == 0 && off+length == i.Size():
			i.set(off/toyBlock, entry)
		default:
			if i.bug == "zeroes whole blocks only" {
				break
			}
			if err := i.put(off, make([]byte, length)); err != nil {
				return err
			}
		}
		off, n = off+length, n-length
	}
	return nil
}

func (i *toy) DiscardAt(off, n int64) error {
	if i.bug == "discard shows the parent" && i.write && disk.InRange(off, n, i.Size()) == nil {
		i.mu.Lock()
		defer i.mu.Unlock()
		return i.zero(off, n, 0)
	}
	if i.bug == "discards its neighbour" && off > 0 {
		off, n = off-1, n+1
	}
	return i.ZeroAt(off, n)
}

// used lists the blocks that the table points to, ascending.
func (i *toy) used() []uint32 {
	used := []uint32{}
	for _, entry := range i.table {
		if entry >= 2 {
			used = append(used, entry)
		}
	}
	slices.Sort(used)
	return used
}
