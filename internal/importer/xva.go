package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/xva"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/xenxml"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/ovf/ova"
)

// xva reads an export of XenServer or XCP-ng.
func (s *Source) xva(appliance.Choices) error {
	data, err := xenDescription(s.path)
	if err != nil {
		return err
	}
	if s.Appliance, err = xenxml.Read(data); err != nil {
		return err
	}
	s.base = s.path
	s.verify = s.verifyXVA
	return nil
}

// verifyXVA compares all chunks with their checksums, as they would come through
// a pipe: a disk that is used in place is not read before its machine starts.
func (s *Source) verifyXVA(ctx context.Context, _ Trust) (Integrity, error) {
	file, err := os.Open(s.path)
	if err != nil {
		return Integrity{}, err
	}
	defer file.Close()
	plain, _, err := ova.Decompress(contextReader{ctx, file}, ova.Limits{})
	if err != nil {
		return Integrity{}, err
	}
	defer plain.Close()
	reader, err := xva.NewReader(plain)
	if err != nil {
		return Integrity{}, err
	}
	all := &chunks{reader: reader}
	for {
		switch _, err := all.next(); {
		case errors.Is(err, io.EOF):
			return xenIntegrity(reader.Sums()), nil
		case err != nil:
			return Integrity{}, err
		}
	}
}

// Whole refuses an image of the source's of which the end is missing, where
// nothing else would tell: XenServer leaves zeros out of its exports, but never a
// disk's last chunk. It is cheap when the image has been read.
func (s *Source) Whole(img disk.Image) error {
	if s.Appliance.Kind != appliance.KindXVA || img.Size() == 0 {
		return nil
	}
	end, err := disk.MapAt(img, img.Size()-1, 1)
	if err == nil && end.State != disk.Data {
		return problem.New(api.KindUnreadable, "export the machine again", "import %s: the last chunk of the disk is missing: the export was cut short", s.path)
	}
	return err
}

// isXVA tells whether a file is an export of XenServer's.
func isXVA(name string) bool {
	_, err := xenDescription(name)
	return err == nil
}

// xenDescription reads the description of an XVA, compressed or not.
func xenDescription(name string) (text []byte, err error) {
	opened, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	file, err := hostfs.Of(opened, false)
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return xva.Description(file)
}

// xenIntegrity is what is known of an XVA of which all chunks were read.
func xenIntegrity(sums xva.Sums) Integrity {
	switch sums.Without {
	case 0:
		return Integrity{Text: fmt.Sprintf("%d chunks are what their checksums say; it is not signed", sums.Chunks)}
	case sums.Chunks:
		return Integrity{Text: "its chunks have no checksums: nothing tells whether they are what was exported"}
	}
	return Integrity{
		Text: fmt.Sprintf("%d of its %d chunks are what their checksums say; it is not signed", sums.Chunks-sums.Without, sums.Chunks),
		Findings: []string{fmt.Sprintf("%d of its %d chunks have no checksum, the first is %s: nothing tells whether they are what was exported",
			sums.Without, sums.Chunks, sums.First)},
	}
}
