package vmdk

import (
	"io"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/vmdk/descriptor"
)

// buildStream makes an empty streamOptimized image, to be filled by a sink.
func (m *image) buildStream(t *disk.Target) error {
	p := m.parts[0]
	s, err := stream(&appendFile{file: p.file}, t)
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	m.home = home{part: p, off: sector, room: descriptorRoom * sector}
	if err := (&opener{image: m}).readDescriptor(m.home.room); err != nil {
		return err
	}
	m.filling = true
	return m.reload()
}

// reload opens the extent of a stream anew.
func (m *image) reload() error {
	p := m.parts[0]
	s, err := openExtent(p, hosted, -1, false)
	if err != nil {
		return err
	}
	m.spans, m.size = nil, 0
	(&opener{image: m}).add(s, s.size, descriptor.ReadWrite, 0)
	return nil
}

// unfilled is a new streamOptimized image.
type unfilled struct{ *image }

// Compressing gives a sink that fills a new streamOptimized image.
func (m *unfilled) Compressing() (disk.Sink, error) {
	if !m.filling {
		return nil, disk.Unsupported(name, "only a new streamOptimized image can take compressed grains")
	}
	m.shape.Lock()
	defer m.shape.Unlock()
	m.filling = false
	p := m.parts[0]
	h, err := readHeader(p.file, 0)
	if err != nil {
		return nil, err
	}
	if err := p.file.Truncate(streamOverhead * sector); err != nil {
		return nil, err
	}
	s := newSink(&appendFile{file: p.file, pos: streamOverhead * sector}, h, streamOverhead*sector)
	s.done = func() error {
		m.shape.Lock()
		defer m.shape.Unlock()
		return m.reload()
	}
	return s, nil
}

// appendFile is an io.Writer at the end of a file.
type appendFile struct {
	file io.WriterAt
	pos  int64
}

func (a *appendFile) Write(p []byte) (int, error) {
	n, err := a.file.WriteAt(p, a.pos)
	a.pos += int64(n)
	return n, err
}
