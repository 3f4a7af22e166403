package snapshot

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// shorten makes the chain of the present state as short as it is to be, as the manager does, on
// the model, and returns how much was copied.
func (w *world) shorten(t *rapid.T, bound int) (copied int64) {
	t.Helper()
	for {
		short, found := w.images.Shorten(w.current, bound)
		if !found {
			return copied
		}
		before := w.images.Depth(w.current)
		var bytes int64
		for _, name := range short.Between {
			if w.images[w.current].Parent != name {
				t.Fatalf("%+v does not draw in %s", short, w.images[w.current].Parent)
			}
			top := w.images[w.current]
			w.layer[w.current] = w.layer[name] + w.layer[w.current]
			bytes += w.images[name].Allocated
			top.Parent = w.images[name].Parent
			w.images[w.current] = top
		}
		if w.images[w.current].Parent != short.Base || short.Base == "" || bytes != short.Bytes {
			t.Fatalf("%+v comes to %+v, %d bytes", short, w.images[w.current], bytes)
		}
		if depth := w.images.Depth(w.current); depth >= before || depth > max(bound-bound/4, 2) {
			t.Fatalf("%d images became %d, with a bound of %d", before, depth, bound)
		}
		top := w.images[w.current]
		top.Allocated += bytes
		w.images[w.current] = top
		copied += bytes
	}
}

// TestChainsStayShort takes, restores, deletes, and shortens: no chain is longer than the bound then,
// and every snapshot reads as it did.
func TestChainsStayShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, bound := newWorld(), rapid.IntRange(2, 8).Draw(t, "bound")
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"take", "take", "take", "write", "restore", "delete"}).Draw(t, "step") {
			case "take":
				w.take()
			case "write":
				w.write(t)
			case "restore":
				if len(w.tree.Snapshots) > 0 {
					s := rapid.SampledFrom(w.tree.Snapshots).Draw(t, "to")
					w.tree.Current = s.ID
					w.branch(s.Images["disk0"])
				}
			case "delete":
				if len(w.tree.Snapshots) > 0 {
					w.tree = w.tree.Remove(rapid.SampledFrom(w.tree.Snapshots).Draw(t, "gone").ID)
				}
			}
			now := w.reads(w.current)
			w.mergeAll(t)
			w.shorten(t, bound)
			if got := w.reads(w.current); got != now {
				t.Fatalf("the present state reads %q, want %q", got, now)
			}
			w.check(t)
			for name := range w.images {
				if depth := w.images.Depth(name); depth > bound+1 {
					t.Fatalf("%s is the uppermost of %d, with a bound of %d", name, depth, bound)
				}
			}
		}
	})
}

// TestShorteningCopiesLittle takes many snapshots that all stay, each of some new data: what is copied
// on the way is a few times that, and not as often as there are snapshots.
func TestShorteningCopiesLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const snapshots, bound = 300, 16
		w := newWorld()
		base := w.images["base"]
		base.Allocated = 1000
		w.images["base"] = base
		var written, copied int64
		for range snapshots {
			size := int64(rapid.IntRange(0, 10).Draw(t, "size"))
			top := w.images[w.current]
			top.Allocated += size
			w.images[w.current] = top
			w.layer[w.current] += strings.Repeat("x", int(size))
			written += size
			w.take()
			copied += w.shorten(t, bound)
		}
		if copied > 8*written+1000 {
			t.Fatalf("%d snapshots of %d bytes came to %d bytes copied", snapshots, written, copied)
		}
	})
}

func TestShortenLeavesWhatMustStay(t *testing.T) {
	images := Images{"disk0.vdi": {Fixed: true, Allocated: 1}, "a": {Parent: "disk0.vdi"}, "b": {Parent: "a"}, "c": {Parent: "b"}}
	short, found := images.Shorten("c", 2)
	if !found || short.Base != "a" || len(short.Between) != 1 {
		t.Errorf("%+v, %t", short, found)
	}
	if _, found := images.Shorten("c", 4); found {
		t.Error("a chain within its bound is shortened")
	}
	delete(images, "c")
	if short, found := images.Shorten("b", 2); found {
		t.Errorf("%+v makes QEMU name what is served to it", short)
	}
	images["c"] = Image{Parent: "b", Fixed: true}
	if _, found := images.Shorten("c", 2); found {
		t.Error("an image that cannot be written is drawn into")
	}
}
