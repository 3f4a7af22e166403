package importer

import (
	"io"

	"github.com/panalvm/panal/disk"
)

// between is how many bytes are taken between two looks at how much room there is.
const between = 32 << 20

// roomy reads what is to be put into the pool and is not bounded otherwise, and ends
// with an error when there is no more room for it: it must not fill the disk that machines
// write to.
type roomy struct {
	r    io.Reader
	room func() error // nil asks nobody
	next int64        // bytes until the next look
}

// Read reads on.
func (k *roomy) Read(p []byte) (int, error) {
	if k.next <= 0 && k.room != nil {
		if err := k.room(); err != nil {
			return 0, err
		}
		k.next = between
	}
	n, err := k.r.Read(p)
	k.next -= int64(n)
	return n, err
}

// kept is a file for what stands in an image before it is known what it is for.
type kept struct {
	disk.File
	of   *Content
	next int64 // bytes until the next look at the room
}

// WriteAt writes, as long as there is room.
func (k *kept) WriteAt(p []byte, off int64) (int, error) {
	if room := k.of.options.Room; k.next <= 0 && room != nil {
		if err := room(); err != nil {
			return 0, err
		}
		k.next = between
	}
	n, err := k.File.WriteAt(p, off)
	k.next -= int64(n)
	k.of.aside += int64(n)
	return n, err
}

// keep makes such a file.
func (c *Content) keep() (disk.File, error) {
	file, err := c.options.Stage()
	if err != nil {
		return nil, err
	}
	return &kept{File: file, of: c}, nil
}

// Aside is how many bytes of the content went through a file without a name, because they came
// before what tells where on the disk they belong.
func (c *Content) Aside() int64 { return c.aside }
