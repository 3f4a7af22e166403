package media

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
)

// formats are the image formats that can be attached, as QEMU names them.
var formats = []string{
	"raw", "qcow2", "vdi", "vmdk", "vpc", "vhdx", "parallels", "qed", "qcow", "dmg", "bochs", "cloop",
}

// otherNames are what people call formats that QEMU has other names for.
var otherNames = map[string]string{"vhd": "vpc", "hdd": "parallels"}

// maxChain is how many images may stand on each other.
const maxChain = 64

// Image is one image file.
type Image struct {
	Path          string // absolute
	Format        string // as QEMU names it
	Size          api.Size
	Files         []string // further files that it consists of, absolute
	Backing       string   // absolute path of the image it stands on, if any
	BackingFormat string   // as the image says; may be empty
}

// Chain is an image and those it stands on, the image itself first.
type Chain []Image

// Probe finds out what a file is by its content.
func Probe(ctx context.Context, path string) (Image, error) {
	if err := readable(path); err != nil {
		return Image{}, err
	}
	image, err := inspect(ctx, path, "")
	if err != nil || image.Format != "raw" {
		return image, err
	}
	return refineRaw(ctx, image)
}

// Open looks at an image of a known format and at all that it stands on. The
// format may be empty: then it is probed.
func Open(ctx context.Context, path, format string) (Chain, error) {
	var chain Chain
	for path != "" {
		image, err := next(ctx, path, format)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(chain, func(i Image) bool { return i.Path == image.Path }) || len(chain) == maxChain {
			return nil, problem.New(api.KindUnreadable, "", "image %s: its chain of backing files has a loop or more than %d links", chain[0].Path, maxChain)
		}
		chain = append(chain, image)
		path, format = image.Backing, image.BackingFormat
	}
	return chain, nil
}

func next(ctx context.Context, path, format string) (Image, error) {
	if format == "" {
		return Probe(ctx, path)
	}
	format = cmp.Or(otherNames[format], format)
	if !slices.Contains(formats, format) {
		return Image{}, problem.New(api.KindInvalid, "one of "+strings.Join(formats, ", "), "image %s: there is no format %q", path, format)
	}
	if err := readable(path); err != nil {
		return Image{}, err
	}
	return inspect(ctx, path, format)
}

// readable gives a clearer error than qemu-img would.
func readable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem.New(api.KindUnreadable, "", "image %s: there is no such file", path)
	case err != nil:
		return problem.New(api.KindUnreadable, "", "image %s: %s", path, cause(err))
	case info.IsDir():
		return problem.New(api.KindUnreadable, "name the image file in it", "image %s is a directory", path)
	case !info.Mode().IsRegular() && info.Mode()&fs.ModeDevice == 0:
		return problem.New(api.KindUnreadable, "", "image %s is neither a file nor a device", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return problem.New(api.KindUnreadable, "let the daemon's user read it", "image %s: %s", path, cause(err))
	}
	return file.Close()
}

func cause(err error) error {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// info is what `qemu-img info --output=json` prints, as far as it matters.
type info struct {
	Format        string   `json:"format"`
	Size          api.Size `json:"virtual-size"`
	Backing       string   `json:"backing-filename"`
	FullBacking   string   `json:"full-backing-filename"`
	BackingFormat string   `json:"backing-filename-format"`
	Specific      struct {
		Data struct {
			DataFile string `json:"data-file"`
			Extents  []struct {
				File string `json:"filename"`
			} `json:"extents"`
		} `json:"data"`
	} `json:"format-specific"`
}

func inspect(ctx context.Context, path, format string) (Image, error) {
	args := []string{"info", "-U", "--output=json"}
	if format != "" {
		args = append(args, "-f", format)
	}
	out, err := qemuImg(ctx, append(args, "--", path)...)
	var other *api.Problem
	switch {
	case errors.As(err, &other) || ctx.Err() != nil:
		return Image{}, fmt.Errorf("image %s: %w", path, err)
	case err != nil:
		return Image{}, problem.New(api.KindUnreadable, "`qemu-img check` may say more", "image %s: %s", path, err)
	}
	var found info
	if err := json.Unmarshal(out, &found); err != nil {
		return Image{}, fmt.Errorf("image %s: qemu-img printed what is no JSON: %w", path, err)
	}
	if !slices.Contains(formats, found.Format) {
		return Image{}, problem.New(api.KindUnsupported, "convert it first", "image %s has the format %s", path, found.Format)
	}
	return found.image(path)
}

// image checks what the file refers to.
func (i info) image(path string) (Image, error) {
	image := Image{Path: path, Format: i.Format, Size: i.Size, BackingFormat: i.BackingFormat}
	names := []string{i.Specific.Data.DataFile}
	for _, extent := range i.Specific.Data.Extents {
		names = append(names, extent.File)
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		file, err := beside(path, name)
		if err != nil {
			return Image{}, err
		}
		if file != path {
			image.Files = append(image.Files, file)
		}
	}
	if i.Backing != "" {
		backing, err := beside(path, i.Backing)
		if err != nil {
			return Image{}, err
		}
		image.Backing = backing
	}
	return image, nil
}

// beside is the absolute path of a file that an image refers to, which must be
// a plain file in the image's directory or below, links followed.
func beside(path, name string) (string, error) {
	outside := func(why string) error {
		return problem.New(api.KindRefused, "put both into one directory, or flatten the image with qemu-img convert",
			"image %s refers to %q, which %s", path, name, why)
	}
	if scheme, _, found := strings.Cut(name, ":"); found && !strings.Contains(scheme, "/") {
		return "", outside("is no plain file name")
	}
	full := name
	if !filepath.IsAbs(full) {
		full = filepath.Join(filepath.Dir(path), name)
	}
	real, err := filepath.EvalSymlinks(full)
	if err != nil {
		return "", outside("cannot be found: " + cause(err).Error())
	}
	home, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", outside("cannot be found: " + cause(err).Error())
	}
	if inside, err := filepath.Rel(home, real); err != nil || !filepath.IsLocal(inside) {
		return "", outside("is outside the image's directory")
	}
	return filepath.Clean(full), nil
}

// refineRaw looks closer at what qemu-img takes for a raw image only because
// it knows nothing better: a fixed VHD is signed at its end alone, and a file
// of another kind altogether must not become a disk in silence.
func refineRaw(ctx context.Context, image Image) (Image, error) {
	file, err := os.Open(image.Path)
	if err != nil {
		return Image{}, err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return Image{}, err
	}
	footer := make([]byte, 8)
	if size >= 1024 {
		// The footer is 512 bytes, 511 in files of very old versions.
		for _, back := range []int64{512, 511} {
			if _, err := file.ReadAt(footer, size-back); err == nil && bytes.Equal(footer, []byte("conectix")) {
				return inspect(ctx, image.Path, "vpc")
			}
		}
	}
	if size == 0 || size%512 != 0 {
		return Image{}, problem.New(api.KindUnreadable, "name the format if it is one after all: format=raw",
			"image %s: it is in no known image format, and %d bytes is no raw disk's length", image.Path, size)
	}
	return image, nil
}
