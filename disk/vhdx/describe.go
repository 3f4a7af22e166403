package vhdx

import (
	"strconv"

	"github.com/panalvm/panal/disk"
)

// Describe says what the image is.
func (m *image) Describe() disk.Info {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i := disk.Info{
		Format:     name,
		Variant:    m.metadata.kind(),
		Version:    strconv.Itoa(int(m.headers.version)),
		Size:       m.Size(),
		Allocated:  m.allocated(),
		BlockSize:  m.blockSize(),
		SectorSize: int(m.sectorSize()),
		Physical:   int(m.metadata.physical),
		UUID:       m.metadata.page83.String(),
		Modified:   m.headers.dataWrite.String(),
		Creator:    m.creator,
		Dirty:      m.replays > 0 && !m.write,
	}
	if m.metadata.hasParent {
		i.Parent = m.metadata.locator.link()
	}
	i.Details = []disk.Detail{
		{Name: "log size", Value: strconv.FormatInt(m.headers.logLength, 10)},
		{Name: "file write GUID", Value: m.headers.fileWrite.String()},
	}
	return i
}

// link is the locator as others see it.
func (l locator) link() *disk.Link {
	link := &disk.Link{Format: name}
	if g, err := parseGUID(l.get(keyLinkage)); err == nil {
		link.UUID = g.String()
	}
	for _, key := range []string{keyRelative, keyAbsolute, keyVolume} {
		switch v := l.get(key); {
		case v == "":
		case link.Name == "":
			link.Name = v
		default:
			link.Others = append(link.Others, v)
		}
	}
	return link
}

// allocated is what the file occupies, as well as can be told.
func (m *image) allocated() int64 {
	if a, ok := m.file.(disk.Allocated); ok {
		if n, err := a.Allocated(); err == nil {
			return n
		}
	}
	size, err := m.file.Size()
	if err != nil {
		return 0
	}
	return size
}
