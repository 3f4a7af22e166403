package media

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/problem"
)

// KnownFormat refuses a format that there is none of: api.KindInvalid, or api.KindUnsupported of one that only
// others read.
func KnownFormat(ref Ref) error {
	if ref.Format == "" {
		return nil
	}
	_, _, err := disk.Find(formats.All(), ref.Format)
	if err == nil {
		return nil
	}
	if slices.Contains([]string{"qed", "dmg", "bochs", "cloop"}, ref.Format) {
		return problem.New(api.KindUnsupported, "convert it with qemu-img convert", "image %s has the format %s", ref.Path, ref.Format)
	}
	return problem.New(api.KindInvalid, "", "image %s: %v", ref.Path, err)
}

// explain makes an error of the engine a problem that says what to do.
func explain(path string, err error) error {
	kind, help, why := api.KindUnreadable, "", err.Error()
	var bad *disk.FormatError
	var busy *hostfs.Busy
	var usage *disk.UsageError
	switch {
	case errors.Is(err, disk.ErrOutside):
		kind, help = api.KindRefused, "put all its files into one directory, or flatten it with `panal disk convert --allow DIR`"
	case errors.Is(err, disk.ErrLocked):
		kind, help = api.KindLocked, UnlockHelp
	case errors.Is(err, disk.ErrWrongPassphrase):
		kind = api.KindRefused
	case errors.Is(err, disk.ErrNoParent), errors.Is(err, disk.ErrWrongParent):
		help = "put its parent beside it"
	case errors.Is(err, disk.ErrCycle), errors.Is(err, disk.ErrDepth):
	case errors.As(err, &busy):
		kind, why = api.KindBusy, busy.Why
	case errors.As(err, &bad):
		help = "`panal disk check` may say more"
	case errors.Is(err, errors.ErrUnsupported):
		kind = api.KindUnsupported
	case errors.As(err, &usage):
		kind = api.KindInvalid
	case errors.Is(err, fs.ErrNotExist):
		why = notThere(path, err)
	case errors.Is(err, fs.ErrPermission):
		help, why = "let the daemon's user read it", cause(err).Error()
	default:
		why = cause(err).Error()
	}
	return problem.New(kind, help, "image %s: %s", path, strings.TrimPrefix(why, path+": "))
}

// Damaged says of an error of reading an image, which people know by this name, that it is the image that is
// damaged, where it is; any other stays as it is.
func Damaged(name string, err error) error {
	bad, ok := errors.AsType[*disk.FormatError](err)
	if !ok {
		return err
	}
	return problem.New(api.KindUnreadable, "`panal disk check` may say more; get it again, or import what can be read of it", "%s is damaged: %s", name, bad)
}

// notThere says what is missing: the file, a part of it, or what the error
// says in words of its own.
func notThere(path string, err error) string {
	failed, ok := errors.AsType[*fs.PathError](err)
	switch {
	case !ok:
		return err.Error()
	case failed.Err != fs.ErrNotExist && !isErrno(failed.Err): //nolint:errorlint // only the plain ones say nothing more
		return failed.Err.Error()
	case failed.Path != path:
		return "it needs " + failed.Path + ", which is not there"
	}
	return "there is no such file"
}

func isErrno(err error) bool {
	_, plain := err.(syscall.Errno) //nolint:errorlint // likewise
	return plain
}

// cause is what lies below an error that names a path.
func cause(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Err
	}
	return err
}
