package vmdk

import (
	"github.com/panalvm/panal/disk"
)

// flat is an extent that lies in a file as it is.
type flat struct {
	part *part
	from int64 // where it begins in the file, bytes
	size int64
}

func (f *flat) locate(off, n int64) (disk.Extent, error) {
	at := f.from + off
	if h, ok := f.part.file.(disk.Holed); ok {
		data, end, err := h.NextData(at)
		if err != nil {
			return disk.Extent{}, err
		}
		if data > at {
			e := disk.Extent{State: disk.Zeroed, Len: min(n, data-at)}
			return e, f.whole(at, e.Len)
		}
		n = min(n, end-at)
	}
	if n <= 0 {
		return disk.Extent{}, f.whole(at, 1)
	}
	return disk.Extent{State: disk.Data, Len: n, File: f.part.file, HostOff: at}, f.whole(at, n)
}

// whole refuses what lies behind the end of the file.
func (f *flat) whole(at, n int64) error {
	size, err := f.part.file.Size()
	if err != nil || at+n <= size {
		return err
	}
	return disk.Corrupt(name, size, "the file %sends before the extent does, which needs %d bytes: it is truncated", f.part.label(), f.from+f.size)
}

// zeros is an extent without a file.
type zeros struct{}

func (zeros) locate(_, n int64) (disk.Extent, error) {
	return disk.Extent{State: disk.Zeroed, Len: n}, nil
}

// barred is an extent that must not be touched.
type barred struct{ file string }

func (b barred) locate(_, n int64) (disk.Extent, error) {
	return disk.Extent{}, disk.Unsupported(name, "the extent %q of %d bytes is declared NOACCESS", b.file, n)
}
