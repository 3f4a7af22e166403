// Package optical makes images of CDs out of a few small files: ISO 9660 with Rock Ridge and Joliet.
package optical

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
)

// sector is that of a CD, in bytes.
const sector = 2048

// Write makes an image with a volume's name, and files by their paths on it with slashes, in place of an earlier one. It
// is there when it is complete and durable; what is made beside it on the way is gone afterwards.
func Write(image, volume string, files map[string][]byte) (err error) {
	content, unfinished := image+".files", image+".new"
	if err := os.RemoveAll(content); err != nil { // of one that was cut off
		return err
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(content))
		if err != nil {
			_ = os.Remove(unfinished) // why it is not finished is said
		}
	}()
	if err := lay(content, files); err != nil {
		return err
	}
	if err := pack(unfinished, volume, content); err != nil {
		return err
	}
	return os.Rename(unfinished, image)
}

// lay writes the files into a folder: the library packs folders.
func lay(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, text := range files {
		place := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(place, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// pack makes an image of a folder.
func pack(image, volume, content string) (err error) {
	out, err := os.OpenFile(image, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	iso, err := iso9660.Create(file.New(out, false), 0, 0, 0, content)
	if err != nil {
		return err
	}
	if err := iso.Finalize(iso9660.FinalizeOptions{RockRidge: true, Joliet: true, VolumeIdentifier: volume}); err != nil {
		return err
	}
	info, err := out.Stat()
	if err != nil {
		return err
	}
	// A drive shows no part of a sector.
	return errors.Join(out.Truncate((info.Size()+sector-1)/sector*sector), out.Sync())
}
