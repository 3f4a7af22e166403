package nbd

import (
	"fmt"

	"github.com/panalvm/panal/disk"
)

// perform does a request and replies to it.
func (c *conn) perform(r request) {
	err := c.check(r)
	if err == nil {
		switch r.kind {
		case cmdRead:
			err = c.read(r)
		case cmdBlockStatus:
			err = c.blockStatus(r)
		default:
			err = c.act(r)
		}
	}
	c.drop(r)
	switch {
	case err != nil:
		c.fail(r, err)
	case r.kind != cmdRead && r.kind != cmdBlockStatus:
		c.succeed(r)
	}
}

// allowedFlags are the flags that a command takes. FUA is allowed with all, as
// clients exist that set it on reads.
func allowedFlags(kind command) (flags uint16, known bool) {
	switch kind {
	case cmdRead:
		return cmdFlagFUA | cmdFlagDF, true
	case cmdWriteZeroes:
		return cmdFlagFUA | cmdFlagNoHole | cmdFlagFastZero, true
	case cmdBlockStatus:
		return cmdFlagFUA | cmdFlagReqOne, true
	case cmdWrite, cmdFlush, cmdTrim, cmdCache, cmdResize:
		return cmdFlagFUA, true
	case cmdDisc:
	}
	return 0, false
}

// changes tells whether a command writes.
func (k command) changes() bool {
	return k == cmdWrite || k == cmdTrim || k == cmdWriteZeroes || k == cmdResize
}

// check finds what is wrong with a request before anything is done.
func (c *conn) check(r request) error {
	flags, known := allowedFlags(r.kind)
	if c.extended && r.kind == cmdWrite {
		flags |= cmdFlagPayloadLen
	}
	switch {
	case !known:
		return refusal{errInval, fmt.Sprintf("unknown command %d", r.kind)}
	case r.flags&^flags != 0:
		return refusal{errInval, fmt.Sprintf("command %d does not take flags %#x", r.kind, r.flags&^flags)}
	case r.flags&cmdFlagDF != 0 && !c.chunked():
		return refusal{errInval, "the flag DF needs structured replies"}
	case r.strange:
		return refusal{errInval, "a payload where none belongs, or none where one does"}
	case r.kind.changes() && c.export.writer == nil:
		return refusal{errPerm, "the export is read-only"}
	case r.kind == cmdFlush || r.kind == cmdResize:
		return nil
	}
	return c.checkRange(r)
}

// checkRange finds ranges that do not lie on the disk. Where the disk was
// made smaller after the client was told its size it is ENOSPC, whatever the
// command (extension-resize).
func (c *conn) checkRange(r request) error {
	switch {
	case r.inside(c.export.Image.Size()):
	case r.kind == cmdWrite, r.kind == cmdWriteZeroes, r.end() <= uint64(c.toldSize()):
		return refusal{errNoSpace, "the range goes beyond the end of the disk"}
	default:
		return refusal{errInval, "the range goes beyond the end of the disk"}
	}
	if (r.kind == cmdRead || r.kind == cmdCache) && r.length > maxPayload {
		return refusal{errOverflow, fmt.Sprintf("more than %d bytes at once", maxPayload)}
	}
	return nil
}

// act does the commands that are answered with success or failure alone.
func (c *conn) act(r request) error {
	var err error
	switch {
	case r.kind == cmdFlush:
		return c.export.sync()
	case r.kind == cmdResize:
		return c.resize(r)
	case r.length == 0: // the protocol leaves open what that means
	case r.kind == cmdCache:
		return c.cache(r)
	case r.kind == cmdWrite:
		_, err = c.export.writer.WriteAt(r.payload.payload(), int64(r.off))
	case r.kind == cmdTrim:
		err = disk.Discard(c.export.Image, int64(r.off), int64(r.length))
	case r.kind == cmdWriteZeroes:
		err = c.writeZeroes(r)
	}
	if err == nil && r.flags&cmdFlagFUA != 0 {
		err = c.export.sync()
	}
	return err
}

// cache reads the range, so that what lies below has it in memory.
func (c *conn) cache(r request) error {
	b, err := c.buffer(int(min(r.length, chunkBytes)))
	if err != nil {
		return err
	}
	defer c.discard(b)
	for off, end := r.off, r.off+r.length; off < end && c.alive() == nil; off += chunkBytes {
		if _, err := c.export.Image.ReadAt(b.resize(int(min(end-off, chunkBytes))), int64(off)); err != nil {
			return err
		}
	}
	return nil
}

// writeZeroes makes a range zero: by the image's own means, or, where the client
// wants no hole or the image has no means, by writing.
func (c *conn) writeZeroes(r request) error {
	z, able := c.export.Image.(disk.Zeroer)
	if able && r.flags&cmdFlagNoHole == 0 {
		return z.ZeroAt(int64(r.off), int64(r.length))
	}
	if r.flags&cmdFlagFastZero != 0 {
		return refusal{errNotSup, "zeros have to be written here, which is not fast"}
	}
	b, err := c.buffer(int(min(r.length, chunkBytes)))
	if err != nil {
		return err
	}
	defer c.discard(b)
	clear(b.payload())
	for off, end := r.off, r.off+r.length; off < end; off += chunkBytes {
		if err := c.alive(); err != nil {
			return err
		}
		if _, err := c.export.writer.WriteAt(b.resize(int(min(end-off, chunkBytes))), int64(off)); err != nil {
			return err
		}
	}
	return nil
}

// resize changes the disk's size (extension-resize: the new one is in the
// offset). Nobody else's disk is made smaller.
func (c *conn) resize(r request) error {
	if !c.export.resizable() {
		return refusal{errPerm, "this export cannot be resized by clients"}
	}
	size := int64(r.off)
	switch {
	case size < 0:
		return refusal{errInval, "no disk can be that large"}
	case size < c.export.Image.Size() && c.export.users.Load() > 1:
		return refusal{errPerm, "other clients use the disk: it cannot become smaller now"}
	}
	if err := disk.Resize(c.export.Image, size); err != nil {
		return err
	}
	c.tell(size)
	return nil
}

// toldSize is the largest size that the client knew the disk to have.
func (c *conn) toldSize() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told
}

func (c *conn) tell(size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = max(c.told, size)
}
