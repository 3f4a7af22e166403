package xva_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/xva"
)

// forward reads all disks of an archive that comes through a pipe.
func forward(r io.Reader) (map[string][]byte, error) {
	reader, err := xva.NewReader(r)
	if err != nil {
		return nil, err
	}
	got := map[string][]byte{}
	for {
		d, stream, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		content, err := contentOfStream(stream)
		if err != nil {
			return got, fmt.Errorf("%s: %w", d.Ref, err)
		}
		got[d.Ref] = content
	}
}

// contentOfStream is the disk that a stream gives.
func contentOfStream(s disk.Stream) ([]byte, error) {
	var content []byte
	buffer := make([]byte, disk.MaxPiece)
	for {
		piece, err := s.Next(buffer)
		if errors.Is(err, io.EOF) {
			if missing := s.Size() - int64(len(content)); missing > 0 {
				content = append(content, make([]byte, missing)...)
			}
			return content, s.Close()
		}
		if err != nil {
			return nil, err
		}
		data, err := s.Decode(nil, piece)
		if err != nil {
			return nil, err
		}
		if missing := piece.Off + piece.Len - int64(len(content)); missing > 0 {
			content = append(content, make([]byte, missing)...)
		}
		copy(content[piece.Off:], data)
	}
}

// What comes through a pipe is what a file of it holds: zeros that were left out, chunks of no bytes, both kinds of
// digests and none, several disks.
func TestAPipeGivesWhatAFileHolds(t *testing.T) {
	one, two := someDisk(9, 1), someDisk(14, 2)
	for name, x := range map[string]*export{
		"sha1": {}, "xxhash": {xxhash: true}, "no digests": {noSums: true},
	} {
		made := newExport(t, ovaOf(map[string]int64{"Ref:12": int64(len(one)), "Ref:7": int64(len(two))}))
		made.xxhash, made.noSums = x.xxhash, x.noSums
		made.disk(t, "Ref:12", one, 2)
		made.disk(t, "Ref:7", two, 0)
		// In odd pieces: nothing may depend on how much a read gives.
		got, err := forward(iotest.HalfReader(bytes.NewReader(made.bytes(t, "plain"))))
		if err != nil || !bytes.Equal(got["Ref:12"], one) || !bytes.Equal(got["Ref:7"], two) {
			t.Errorf("%s: %d and %d bytes of %d and %d: %v", name, len(got["Ref:12"]), len(got["Ref:7"]), len(one), len(two), err)
		}
	}
}

// Chunks that have no checksum are counted, wherever they lie.
func TestChunksWithoutAChecksumAreCounted(t *testing.T) {
	x := newExport(t, ovaOf(map[string]int64{"Ref:12": 3 * mib, "Ref:7": mib}))
	x.chunk(t, "Ref:12/00000000", full('a'))
	x.add(t, "Ref:12/00000001", full('b'))
	x.chunk(t, "Ref:12/00000002", full('c'))
	x.add(t, "Ref:7/00000000", full('d'))
	reader, err := xva.NewReader(bytes.NewReader(x.bytes(t, "plain")))
	if err != nil {
		t.Fatal(err)
	}
	for {
		_, stream, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			_, err = contentOfStream(stream)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, want := reader.Sums(), (xva.Sums{Chunks: 4, Without: 2, First: "Ref:12/00000001"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// What is wrong with an archive is told as soon as it comes by.
func TestBadArchivesInAPipe(t *testing.T) {
	whole := ovaOf(map[string]int64{"Ref:12": 3 * mib})
	tests := map[string]struct {
		make func(*export)
		want string
	}{
		"a digest that is wrong": {func(x *export) {
			x.corrupt = "Ref:12/00000001"
			x.disk(t, "Ref:12", bytes.Repeat([]byte{1}, 3*mib), 0)
		}, "Ref:12/00000001"},
		"the last chunk is missing": {func(x *export) { x.disk(t, "Ref:12", bytes.Repeat([]byte{1}, 2*mib), 0) }, "the last chunk of Ref:12 is missing"},
		"the first chunk is missing": {func(x *export) {
			x.chunk(t, "Ref:12/00000001", full('a'))
			x.chunk(t, "Ref:12/00000002", full('a'))
		}, "the first chunk of Ref:12 is missing"},
		"chunks in two places": {func(x *export) {
			x.disk(t, "Ref:12", bytes.Repeat([]byte{1}, 3*mib), 0)
			x.chunk(t, "Ref:7/00000000", full('a'))
			x.chunk(t, "Ref:12/00000003", full('a'))
		}, "behind those of another disk"},
		"more chunks than the disk is long": {func(x *export) { x.disk(t, "Ref:12", bytes.Repeat([]byte{1}, 5*mib), 0) }, "chunk Ref:12/00000003, at 3145728 of the disk, lies behind the 3145728 bytes"},
		"a chunk far behind": {func(x *export) {
			x.disk(t, "Ref:12", bytes.Repeat([]byte{1}, 3*mib), 0)
			x.chunk(t, "Ref:12/99999999", full('a'))
		}, "chunk Ref:12/99999999, at "},
		"chunks of two MiB": {func(x *export) {
			x.chunk(t, "Ref:12/00000000", make([]byte, 2*mib))
			x.chunk(t, "Ref:12/00000002", full('a'))
		}, "has 2097152 bytes; up to 1048576 are read"},
		"more disks than can be": {func(x *export) {
			x.noSums = true
			x.disk(t, "Ref:12", bytes.Repeat([]byte{1}, 3*mib), 0)
			for i := range 1024 + 2 {
				x.chunk(t, fmt.Sprintf("Ref:%d/00000000", 1000+i), []byte{1})
			}
		}, "more than 1024 disks"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			x := newExport(t, whole)
			test.make(x)
			_, err := forward(bytes.NewReader(x.bytes(t, "plain")))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	x := newExport(t, whole)
	x.disk(t, "Ref:12", bytes.Repeat([]byte{1}, 3*mib), 0)
	archive := x.bytes(t, "plain")
	for _, cut := range []int{100, 700, len(archive) / 3, len(archive) / 2, len(archive) - 2*mib/3} {
		if _, err := forward(bytes.NewReader(archive[:cut])); err == nil {
			t.Errorf("cut at %d of %d: nothing is wrong", cut, len(archive))
		}
	}
}
