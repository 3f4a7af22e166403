package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/ovf"
)

// refer keeps which files a descriptor refers to, and its own name, and which have other sizes than it says.
func (s *Source) refer(descriptor string, env *ovf.Envelope) {
	if descriptor != "" {
		s.referenced = append(s.referenced, descriptor)
	}
	for i := range env.Files {
		f := &env.Files[i]
		if length, err := s.lengthOf(path.Clean(f.Href)); err == nil {
			if m, ok := misfitOf(f, s.ciphers[f.ID] != nil, length); ok {
				s.misfits = append(s.misfits, m)
			}
		}
		switch {
		case f.IsRemote():
		case f.ChunkSize == nil:
			s.referenced = append(s.referenced, path.Clean(f.Href))
		default:
			s.referenced = append(s.referenced, s.chunks(f.Href)...)
		}
	}
}

// unlisted are the files that the descriptor refers to, and the manifest does
// not mention.
func (s *Source) unlisted(m *ovf.Manifest) []string {
	var names []string
	for _, name := range s.referenced {
		if !slices.ContainsFunc(m.Digests, func(d ovf.Digest) bool { return path.Clean(d.File) == name }) {
			names = append(names, name)
		}
	}
	return names
}

// complete refuses a signed package whose manifest leaves out what belongs to
// it: whoever changed that would leave no trace.
func (s *Source) complete(unlisted []string, signed bool) error {
	if !signed {
		return nil
	}
	for _, name := range unlisted {
		if path.Ext(name) == ".ovf" || slices.Contains(s.referenced, path.Clean(name)) {
			return fmt.Errorf("it is signed, and its manifest does not mention %s: nothing tells whether that is what was signed", name)
		}
	}
	return nil
}

// Length is how long the file of a drive's content is, or its parts together;
// -1 if that is not known.
func (s *Source) Length(d appliance.Disk) int64 {
	if s.check(d) != nil {
		return -1
	}
	if d.Parts == 0 {
		length, err := s.lengthOf(d.File)
		if err != nil {
			return -1
		}
		return length
	}
	parts := s.chunks(d.File)
	if len(parts) == 0 {
		return -1
	}
	var sum int64
	for _, part := range parts {
		length, err := s.lengthOf(part)
		if err != nil {
			return -1
		}
		sum += length
	}
	return sum
}

// lengthOf is the length of a file of the source.
func (s *Source) lengthOf(name string) (int64, error) {
	if s.members != nil {
		entry := s.members.Member(name)
		if entry == nil {
			return 0, errNoMember(name)
		}
		return entry.Size, nil
	}
	if s.root == nil {
		return 0, errNoMember(name)
	}
	info, err := s.root.Stat(name)
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("it is no regular file")
	}
	return info.Size(), nil
}

// peeked is how much of a disk that is compressed or in parts is looked at.
const peeked = 64 << 10

// Peek looks at the beginning of content that is compressed, encrypted or cut into parts,
// without putting it together, and tells its format; empty if only the whole
// could tell.
func (s *Source) Peek(ctx context.Context, d appliance.Disk) (string, error) {
	if err := s.check(d); err != nil {
		return "", err
	}
	head, err := s.head(ctx, d)
	if err != nil {
		return "", explain(s.path, fmt.Errorf("%s: %w", d.File, err))
	}
	sample, err := disk.NewSample(bytes.NewReader(head), int64(len(head)), path.Base(d.File))
	if err != nil {
		return "", err
	}
	format, _ := disk.Probe(formats.All(), sample)
	if format == nil {
		return "", nil
	}
	return format.Name, nil
}

func (s *Source) head(ctx context.Context, d appliance.Disk) ([]byte, error) {
	content, err := s.read(ctx, d)
	if err != nil {
		return nil, err
	}
	defer content.Close() //nolint:errcheck // it was only read
	r, _, err := unwrap(d, content, -1, s.ciphers[d.Encryption])
	if err != nil {
		return nil, err
	}
	var head bytes.Buffer
	if _, err := io.Copy(&head, io.LimitReader(r, peeked)); err != nil {
		return nil, err
	}
	return head.Bytes(), nil
}
