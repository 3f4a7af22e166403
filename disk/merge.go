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
	for e, err := range Extents(ctx, child, 0, child.Size()) {
		if err != nil {
			return err
		}
		o.progress(e.Off, child.Size())
		switch e.State {
		case Unallocated:
		case Zeroed:
			err = ZeroBySteps(ctx, parent, e.Off, e.Len)
		case Data:
			err = pieces(ctx, e.Off, e.Len, chunk, func(off, n int64) error {
				p, err := pool.read(child, span{off, off + n})
				if err != nil {
					return err
				}
				defer pool.put(p)
				_, err = to.WriteAt(p, off)
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
	take := func(s span) error {
		o.progress(s.off, child.Size())
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
	}
	for e, err := range Extents(ctx, child, 0, child.Size()) {
		if err != nil {
			return err
		}
		o.progress(e.Off, child.Size())
		if e.State != Unallocated {
			continue
		}
		for s, err := range differing(Parent(child), parent, e.Off, e.End(), chunk, 1)(ctx) {
			if err := firstError(err, ctx.Err()); err != nil {
				return err
			}
			if err := take(s); err != nil {
				return err
			}
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
			err = hide(child, w, p[begin:end], off+int64(begin))
		} else {
			_, err = w.WriteAt(p[begin:end], off+int64(begin))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hide makes child say itself that it is zero where p, all zeros, lies. Behind
// the end of its parent that is so already, and a format may make nothing of it
// unless the zeros are written; another parent could then shine through.
func hide(child Image, w Writer, p []byte, off int64) error {
	if err := Zero(child, off, int64(len(p))); err != nil {
		return err
	}
	for written := false; len(p) > 0; {
		e, err := MapAt(child, off, int64(len(p)))
		switch {
		case err != nil:
			return err
		case e.State != Unallocated:
			p, off, written = p[e.Len:], e.End(), false
			continue
		case written:
			return Unsupported(Describe(child).Format, "it cannot be said that [%d,+%d) is zero, whatever the new parent holds there", off, e.Len)
		}
		if _, err := w.WriteAt(p[:e.Len], off); err != nil {
			return err
		}
		written = true
	}
	return nil
}

// zeroStep is how much is made zero by one call: a format that has to write the
// zeros does that within a second.
const zeroStep = 1 << 30

// ZeroBySteps makes a range read as zeros, as Zero does, and ends with ctx.
func ZeroBySteps(ctx context.Context, img Image, off, n int64) error {
	return pieces(ctx, off, n, zeroStep, func(off, n int64) error { return Zero(img, off, n) })
}

// pieces works on a range in parts that end at multiples of step, a power of
// two, and can be cancelled in between.
func pieces(ctx context.Context, off, n, step int64, do func(off, n int64) error) error {
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := min(n, step-off&(step-1))
		if err := do(off, part); err != nil {
			return err
		}
		off, n = off+part, n-part
	}
	return nil
}
