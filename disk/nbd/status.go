package nbd

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

// Bounds of what one question costs: the client asks on from where the answer
// ends.
const (
	maxExtents = 4 << 10  // that a reply lists
	maxLayers  = 64 << 10 // that are looked at
)

// extent is a descriptor: a range in one state.
type extent struct {
	n    int64
	flag uint32
}

// blockStatus replies with the extents of the range, a chunk for each context
// that was chosen.
func (c *conn) blockStatus(r request) error {
	if len(c.contexts) == 0 {
		return refusal{errInval, "no metadata context was chosen for this export"}
	}
	if r.length == 0 {
		return refusal{errInval, "the state of no bytes"}
	}
	for i, m := range c.contexts {
		list, err := c.extents(m, r)
		if err != nil {
			return err
		}
		if err := c.sendExtents(r, m, list, i == len(c.contexts)-1); err != nil {
			return err
		}
	}
	return nil
}

// extents describes the range in one context. It may end early, though not
// without a first extent.
func (c *conn) extents(m metaContext, r request) ([]extent, error) {
	most := maxExtents
	if r.flags&cmdFlagReqOne != 0 {
		most = 1
	}
	var list []extent
	off, end := int64(r.off), int64(r.off+r.length)
	for range maxLayers {
		if off == end || c.alive() != nil {
			break
		}
		l, err := disk.LayerAt(c.export.Image, off, end-off)
		if err != nil {
			return nil, err
		}
		off = l.End()
		if n := len(list); n > 0 && list[n-1].flag == m.flag(l) {
			list[n-1].n += l.Len
			continue
		}
		if len(list) == most {
			break
		}
		list = append(list, extent{l.Len, m.flag(l)})
	}
	return list, c.alive()
}

func (c *conn) sendExtents(r request, m metaContext, list []extent, last bool) error {
	if c.extended {
		return c.sendExtendedExtents(r, m, list, last)
	}
	b, err := c.buffer(4 + 8*len(list))
	if err != nil {
		return err
	}
	p := binary.BigEndian.AppendUint32(b.payload()[:0], m.id)
	for _, e := range list {
		p = binary.BigEndian.AppendUint32(p, uint32(e.n))
		p = binary.BigEndian.AppendUint32(p, e.flag)
	}
	c.sendChunk(r, b, doneIf(last), chunkStatus)
	return nil
}

func (c *conn) sendExtendedExtents(r request, m metaContext, list []extent, last bool) error {
	b, err := c.buffer(8 + 16*len(list))
	if err != nil {
		return err
	}
	p := binary.BigEndian.AppendUint32(b.payload()[:0], m.id)
	p = binary.BigEndian.AppendUint32(p, uint32(len(list)))
	for _, e := range list {
		p = binary.BigEndian.AppendUint64(p, uint64(e.n))
		p = binary.BigEndian.AppendUint64(p, uint64(e.flag))
	}
	c.sendChunk(r, b, doneIf(last), chunkStatusExt)
	return nil
}
