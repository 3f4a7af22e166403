package media

import (
	"context"
	"errors"
	"os"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/problem"
)

// Compact gives back the room that an image's content does not need: of blocks of zeros, and of those that nothing
// uses. Of one that is cut off at any moment the content is the same. alone leaves what it stands on shut: QCOW2
// images, and those that stand on nothing, are compacted so. Keys opens what is encrypted.
func Compact(ctx context.Context, ref Ref, alone bool, keys disk.Keys, report func(done, total int64)) (err error) {
	img, _, err := OpenImage(ref, OpenOptions{Write: true, Locked: true, Alone: alone, Keys: keys})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	compacter, ok := img.(disk.Compacter)
	if !ok || !disk.Writable(img) {
		return problem.New(api.KindUnsupported, "`panal medium copy` makes one that holds no more than it needs",
			"image %s: %s cannot be compacted in place", ref.Path, kindOf(disk.Describe(img)))
	}
	if _, err := compacter.Compact(ctx, report); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return explain(ref.Path, err)
	}
	return releaseRoom(filesOf(ref.Path, disk.Describe(img)))
}

// releaseRoom gives back what is reserved behind the ends of files, which nobody else changes meanwhile.
func releaseRoom(files []string) (failed error) {
	for _, name := range files {
		info, err := os.Stat(name)
		if err == nil && info.Mode().IsRegular() {
			err = os.Truncate(name, info.Size())
		}
		failed = errors.Join(failed, err)
	}
	return failed
}
