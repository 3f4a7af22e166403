package nbd

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/panalvm/panal/disk"
)

// errno is an error as clients are told it (proto, "Error values").
type errno uint32

const (
	errPerm     errno = 1
	errIO       errno = 5
	errNoMem    errno = 12
	errInval    errno = 22
	errNoSpace  errno = 28
	errOverflow errno = 75
	errNotSup   errno = 95
	errShutdown errno = 108
)

// refusal is a request that the protocol or the export does not allow.
type refusal struct {
	errno errno
	why   string
}

// Error says why.
func (r refusal) Error() string { return r.why }

// errnoTable says which of our errors are which of the protocol's; the first
// that matches counts. What is not in it is EIO. ENOTSUP is not for what an image
// cannot do: the protocol keeps that for FAST_ZERO.
func errnoTable() []struct {
	err   error
	errno errno
} {
	return []struct {
		err   error
		errno errno
	}{
		{disk.ErrReadOnly, errPerm},
		{disk.ErrLookalike, errPerm},
		{disk.ErrRange, errNoSpace},
		{syscall.ENOSPC, errNoSpace},
		{syscall.EDQUOT, errNoSpace},
		{syscall.EFBIG, errNoSpace},
		{syscall.ENOMEM, errNoMem},
		{fs.ErrPermission, errPerm},
		{errors.ErrUnsupported, errInval},
	}
}

// classify makes an error the protocol's, with a text that may be shown to the
// client: what the image said could name files that are none of its business.
func classify(err error) (errno, string) {
	var refused refusal
	if errors.As(err, &refused) {
		return refused.errno, refused.why
	}
	var usage *disk.UsageError
	if errors.As(err, &usage) {
		return errInval, "the image cannot do that"
	}
	for _, known := range errnoTable() {
		if errors.Is(err, known.err) {
			return known.errno, "the image refused: " + known.errno.text()
		}
	}
	return errIO, "the image failed: " + errIO.text()
}

func (e errno) text() string {
	switch e {
	case errPerm:
		return "not permitted"
	case errNoMem:
		return "out of memory"
	case errInval:
		return "not possible"
	case errNoSpace:
		return "no space left"
	case errIO:
		return "input/output error"
	}
	return fmt.Sprintf("error %d", uint32(e))
}
