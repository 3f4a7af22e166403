package disk

import (
	"context"
	"fmt"
	"iter"
)

// State is what an image knows of a range.
type State int

// The states of a range.
const (
	// Unallocated: the image does not say; a parent does, or it is zero.
	Unallocated State = iota
	// Zeroed: the image says that it is zero, whatever a parent holds.
	Zeroed
	// Data: the image holds its content.
	Data
)

// String is the state in a word.
func (s State) String() string {
	switch s {
	case Unallocated:
		return "unallocated"
	case Zeroed:
		return "zero"
	case Data:
		return "data"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// Extent is a range of a disk in one state.
type Extent struct {
	Off   int64 // where it begins on the disk, in bytes
	Len   int64 // how long it is, in bytes
	State State
	// Of Data only: where the content lies as it is, without compression: at
	// HostOff of File. File is nil when it cannot be read like that.
	File    File
	HostOff int64
	// Compressed is data that has to be decoded first; HostOff may tell where
	// it lies.
	Compressed bool
}

// End is the offset behind the extent.
func (e Extent) End() int64 { return e.Off + e.Len }

// continues tells whether next carries on e, in state and in place.
func (e Extent) continues(next Extent) bool {
	if e.State != next.State || e.Compressed != next.Compressed || e.File != next.File {
		return false
	}
	return e.State != Data || e.File == nil || e.HostOff+e.Len == next.HostOff
}

// MapAt describes the range at off in img as Mapper.Map does. An image that is
// no Mapper is all data.
func MapAt(img Image, off, n int64) (Extent, error) {
	m, ok := img.(Mapper)
	if !ok {
		return Extent{Off: off, Len: n, State: Data}, nil
	}
	e, err := m.Map(off, n)
	if err == nil && (e.Off != off || e.Len <= 0 || e.Len > n) {
		return e, fmt.Errorf("disk: %T mapped [%d,+%d] as [%d,+%d], which is an error in Panal", img, off, n, e.Off, e.Len)
	}
	return e, err
}

// Extents yields the extents of img in [off, off+n), adjacent ones joined. It
// speaks of img alone. It ends at the first error, and with ctx's, also while
// it is still joining.
func Extents(ctx context.Context, img Image, off, n int64) iter.Seq2[Extent, error] {
	here := func(off, n int64) (Layer, error) {
		e, err := MapAt(img, off, n)
		return Layer{Extent: e}, err
	}
	return func(yield func(Extent, error) bool) {
		for l, err := range joined(ctx, off, min(off+n, img.Size()), here) {
			if !yield(l.Extent, err) {
				return
			}
		}
	}
}

// Layer is an extent of a chain, with how deep the image lies that answers for
// it: 0 is the chain's top.
type Layer struct {
	Extent
	Depth int
}

// Layers yields the extents of img as a guest sees them: where img is
// unallocated its parent answers, and so on. What no image of the chain holds is
// Unallocated, at the depth of the last. It ends as Extents does.
func Layers(ctx context.Context, img Image) iter.Seq2[Layer, error] {
	return joined(ctx, 0, img.Size(), func(off, n int64) (Layer, error) { return LayerAt(img, off, n) })
}

// LayerAt describes the range at off as a guest sees it, for at most n bytes: a
// step of Layers, for who begins elsewhere than at the start. What n may be, and
// how long the extent is, is as for Mapper.Map.
func LayerAt(img Image, off, n int64) (Layer, error) {
	for depth := 0; ; depth++ {
		e, err := MapAt(img, off, n)
		if err != nil {
			return Layer{}, err
		}
		parent := Parent(img)
		if e.State != Unallocated || parent == nil {
			return Layer{e, depth}, nil
		}
		if off >= parent.Size() { // behind the end of a shorter parent
			return Layer{Extent{Off: off, Len: e.Len, State: Zeroed}, depth}, nil
		}
		img, n = parent, min(e.Len, parent.Size()-off)
	}
}

// joined yields what at gives for [off, end), adjacent extents as one. A disk may
// be a single extent that takes at many calls: ctx is asked before each.
func joined(ctx context.Context, off, end int64, at func(off, n int64) (Layer, error)) iter.Seq2[Layer, error] {
	return func(yield func(Layer, error) bool) {
		var last Layer
		for off < end {
			next, err := Layer{}, ctx.Err()
			if err == nil {
				next, err = at(off, end-off)
			}
			if err != nil {
				yield(Layer{}, err)
				return
			}
			off = next.End()
			if last.Len > 0 && last.Depth == next.Depth && last.continues(next.Extent) {
				last.Len += next.Len
				continue
			}
			if last.Len > 0 && !yield(last, nil) {
				return
			}
			last = next
		}
		if last.Len > 0 {
			yield(last, nil)
		}
	}
}
