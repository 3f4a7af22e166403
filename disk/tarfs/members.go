package tarfs

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/panalvm/panal/disk"
)

// What a list of members may have.
const (
	maxMembers = 1 << 16
	maxNames   = 8 << 20 // bytes
)

// Member is a file in an archive.
type Member struct {
	Name   string // with slashes, without "./"
	Off    int64  // of its content in the archive
	Size   int64
	Sparse bool // what lies at Off is not the content as it is
}

// Members lists the regular files of an archive in their order; with an error,
// those before it.
func Members(archive disk.File) ([]Member, error) {
	var all []Member
	names := 0
	for m, err := range members(archive) {
		if err != nil {
			return all, err
		}
		names += len(m.Name)
		if len(all) == maxMembers || names > maxNames {
			return nil, disk.Unsupported("tar", "the archive has more than %d members, or their names more than %d bytes", maxMembers, maxNames)
		}
		all = append(all, m)
	}
	return all, nil
}

// find finds the first member of a name.
func find(archive disk.File, name string) (Member, error) {
	for m, err := range members(archive) {
		if err != nil {
			return Member{}, err
		}
		if m.Name == name {
			return m, nil
		}
	}
	return Member{}, fs.ErrNotExist
}

// isArchive tells whether a file begins as an archive does.
func isArchive(file disk.File) bool {
	size, err := file.Size()
	if err != nil || size < 512 {
		return false
	}
	_, err = tar.NewReader(io.NewSectionReader(file, 0, size)).Next()
	return err == nil
}

// members goes through an archive's regular files. Contents are passed over.
func members(archive disk.File) iter.Seq2[Member, error] {
	return func(yield func(Member, error) bool) {
		size, err := archive.Size()
		if err != nil {
			yield(Member{}, err)
			return
		}
		section := io.NewSectionReader(archive, 0, size)
		r := tar.NewReader(section)
		for {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			at, _ := section.Seek(0, io.SeekCurrent) // where Next stopped: the content's start
			if err != nil {
				yield(Member{}, disk.Corrupt("tar", at, "reading the archive's members: %v", err))
				return
			}
			if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse || !isPlainName(h.Name) {
				continue
			}
			if h.Size > size-at {
				yield(Member{}, disk.Corrupt("tar", at, "%.200s has %d bytes and the archive ends after %d: it is cut short", h.Name, h.Size, size-at))
				return
			}
			if !yield(Member{Name: path.Clean(h.Name), Off: at, Size: h.Size, Sparse: isSparse(h)}, nil) {
				return
			}
		}
	}
}

// isPlainName tells whether a name leads to a place within the archive.
func isPlainName(name string) bool {
	return name != "" && !path.IsAbs(name) && !slices.Contains(strings.Split(name, "/"), "..")
}

// isSparse tells whether a member's content is stored without its holes.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}
