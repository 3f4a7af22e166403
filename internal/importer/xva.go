package importer

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/xenxml"
)

// xenDescription is the first member of an XVA.
const xenDescription = "ova.xml"

// xva reads an export of XenServer or XCP-ng. Its digests are checked as the
// disks are read.
func (s *Source) xva(appliance.Choices) error {
	data, err := xenDescriptionOf(s.path)
	if err != nil {
		return err
	}
	if s.Appliance, err = xenxml.Read(data); err != nil {
		return err
	}
	s.base = s.path
	s.unsigned = "its chunks have checksums, which are compared as they are read; it is not signed"
	return nil
}

// isXVA tells whether a file is an export of XenServer's.
func isXVA(name string) bool {
	_, err := xenDescriptionOf(name)
	return err == nil
}

// xenDescriptionOf reads the description of an XVA, compressed or not.
func xenDescriptionOf(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	plain, done, err := decompressed(file)
	if err != nil {
		return nil, err
	}
	defer done()
	members := tar.NewReader(plain)
	header, err := members.Next()
	if err != nil {
		return nil, fmt.Errorf("it is no archive: %w", err)
	}
	if header.Name != xenDescription {
		return nil, fmt.Errorf("the archive begins with %.60q, and not with %s", header.Name, xenDescription)
	}
	data, err := io.ReadAll(io.LimitReader(members, appliance.MaxDescription+1))
	if err != nil {
		return nil, err
	}
	if len(data) > appliance.MaxDescription {
		return nil, errors.New("its " + xenDescription + " is longer than any description")
	}
	return data, nil
}

// decompressed reads a stream that may be compressed by gzip or zstd.
func decompressed(r io.Reader) (io.Reader, func(), error) {
	b := bufio.NewReader(r)
	head, _ := b.Peek(4) // a shorter one is no archive
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		return z, func() {}, err
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return b, func() {}, nil
}
