package disk

import (
	"context"
	"fmt"
)

// Commit writes into a parent what its child holds, so that the parent reads as
// the child does. The parent, open for writing, is made longer when the child
// is; it is synced. Broken off in between, the child still reads as it did,
// and committing again completes it.
func Commit(ctx context.Context, child, parent Image, o CopyOptions) error {
	to, ok := parent.(Writer)
	if !ok || !to.CanWrite() {
		return fmt.Errorf("the parent: %w", ErrReadOnly)
	}
	if parent.Size() < child.Size() {
		if err := Resize(parent, child.Size()); err != nil {
			return err
		}
	}
	pool := buffers(chunk)
	for e, err := range Extents(child, 0, child.Size()) {
		if err != nil {
			return err
		}
		o.progress(e.Off, child.Size())
		switch e.State {
		case Unallocated:
		case Zeroed:
			err = Zero(parent, e.Off, e.Len)
		case Data:
			err = pieces(ctx, e, func(s span) error {
				p, err := pool.read(child, s)
				if err != nil {
					return err
				}
				defer pool.put(p)
				_, err = to.WriteAt(p, s.off)
				return err
			})
		}
		if err != nil {
			return err
		}
	}
	return to.Sync()
}

// Rebase gives child another parent, nil for none, and changes nothing of what
// it reads as: where the old parent and the new differ, child takes over what
// it read. child was opened with its old parent and for writing. It names the
// new parent at the very end; broken off before, it still names the old.
func Rebase(ctx context.Context, child, parent Image, name, format string, o CopyOptions) error {
	w, ok := child.(Writer)
	if !ok || !w.CanWrite() {
		return ErrReadOnly
	}
	link, ok := child.(Reparenter)
	if !ok {
		return Unsupported(Describe(child).Format, "images of this kind cannot change their parent")
	}
	was, will := buffers(chunk), buffers(chunk)
	for e, err := range Extents(child, 0, child.Size()) {
		if err != nil {
			return err
		}
		o.progress(e.Off, child.Size())
		if e.State != Unallocated {
			continue
		}
		err = pieces(ctx, e, func(s span) error {
			p, err := was.read(child, s)
			if err != nil {
				return err
			}
			defer was.put(p)
			q := will.get(len(p))
			defer will.put(q)
			if err := ReadParent(parent, q, s.off); err != nil || firstDifference(p, q) < 0 {
				return err
			}
			return takeOver(child, w, p, q, s.off)
		})
		if err != nil {
			return err
		}
	}
	if err := w.Sync(); err != nil {
		return err
	}
	return link.SetParent(parent, name, format)
}

// takeOver writes those parts of p that differ from q.
func takeOver(child Image, w Writer, p, q []byte, off int64) error {
	const unit = 64 << 10
	for begin := 0; begin < len(p); begin += unit {
		end := min(begin+unit, len(p))
		if firstDifference(p[begin:end], q[begin:end]) < 0 {
			continue
		}
		var err error
		if isZero(p[begin:end]) {
			err = Zero(child, off+int64(begin), int64(end-begin))
		} else {
			_, err = w.WriteAt(p[begin:end], off+int64(begin))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pieces does an extent in steps that can be cancelled in between.
func pieces(ctx context.Context, e Extent, do func(span) error) error {
	for off := e.Off; off < e.End(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		end := min(e.End(), (off+chunk)&^(chunk-1))
		if err := do(span{off, end}); err != nil {
			return err
		}
		off = end
	}
	return nil
}
