package descriptor

import (
	"fmt"
	"strconv"
	"strings"
)

// NoParent is the parentCID of a disk that has no parent.
const NoParent CID = 0xffffffff

// CID is a content identifier: it changes at the first write after each
// opening, so that a delta notices when its parent was written.
type CID uint32

// String is how descriptors write it.
func (c CID) String() string { return fmt.Sprintf("%08x", uint32(c)) }

// CID is the disk's own; ok is false when it is missing or no number.
func (d *Descriptor) CID() (c CID, ok bool) { return d.cid("CID") }

// ParentCID is the parent's as it was; a descriptor without one has no
// parent.
func (d *Descriptor) ParentCID() (c CID, ok bool) { return d.cid("parentCID") }

func (d *Descriptor) cid(key string) (CID, bool) {
	v, err := strconv.ParseUint(strings.TrimPrefix(d.Text(key), "0x"), 16, 32)
	return CID(v), err == nil
}

// SetCID writes another content identifier, also into the long one that ends
// with it, when there is one.
func (d *Descriptor) SetCID(c CID) error {
	if long := d.Text("ddb.longContentID"); len(long) == 32 {
		if err := d.Set("ddb.longContentID", long[:24]+c.String()); err != nil {
			return err
		}
	}
	return d.Set("CID", c.String())
}
