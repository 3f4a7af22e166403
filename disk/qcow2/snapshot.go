package qcow2

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/panalvm/panal/disk"
)

// snapshot is an entry of the snapshot table (spec, "Snapshots").
type snapshot struct {
	at       int64 // where the entry lies, and how long it is
	length   int64
	l1Offset int64
	l1Size   int64
	id, name string
	created  time.Time
	memory   int64 // bytes of saved memory
	size     int64 // of the disk
	sized    bool  // the entry says the size; else it is the current one
	problem  error // why it cannot be opened
}

const (
	snapshotBytes    = 40       // of an entry before what varies
	maxSnapshotExtra = 1024     // QEMU's QCOW_MAX_SNAPSHOT_EXTRA_DATA
	maxSnapshotTable = 64 << 20 // QEMU's QCOW_MAX_SNAPSHOTS_SIZE is larger; nothing real is
)

// readSnapshots reads the snapshot table.
func readSnapshots(file disk.File, h *header) ([]snapshot, error) {
	if h.snapshots == 0 {
		return nil, nil
	}
	fileSize, err := file.Size()
	if err != nil {
		return nil, err
	}
	if h.snapshots > maxSnapshots || h.snapshotOffset < 0 || h.snapshotOffset&(h.clusterSize()-1) != 0 || h.snapshotOffset > fileSize ||
		int64(h.snapshots)*snapshotBytes > fileSize-h.snapshotOffset {
		return nil, disk.Corrupt(formatName, 60, "%d snapshots at %#x, in a file of %d bytes", h.snapshots, h.snapshotOffset, fileSize)
	}
	var all []snapshot
	for off := h.snapshotOffset; len(all) < int(h.snapshots); {
		if off-h.snapshotOffset > maxSnapshotTable {
			return nil, disk.Corrupt(formatName, off, "the snapshot table is longer than %d bytes", int64(maxSnapshotTable))
		}
		s, err := readSnapshot(file, h, off, fileSize)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
		off += s.length
	}
	return all, nil
}

func readSnapshot(file disk.File, h *header, off, fileSize int64) (snapshot, error) {
	be := binary.BigEndian
	p, err := disk.ReadFull(file, off, snapshotBytes, formatName, "snapshot's entry")
	if err != nil {
		return snapshot{}, err
	}
	s := snapshot{at: off, l1Offset: int64(be.Uint64(p)), l1Size: int64(be.Uint32(p[8:])), size: int64(h.size)}
	idLen, nameLen, extra := int64(be.Uint16(p[12:])), int64(be.Uint16(p[14:])), int64(be.Uint32(p[36:]))
	s.created = time.Unix(int64(be.Uint32(p[16:])), int64(be.Uint32(p[20:]))).UTC()
	s.memory = int64(be.Uint32(p[32:]))
	if extra > maxSnapshotExtra {
		return s, disk.Corrupt(formatName, off+36, "%d bytes of extra data in a snapshot's entry; %d are allowed", extra, maxSnapshotExtra)
	}
	rest, err := disk.ReadFull(file, off+snapshotBytes, extra+idLen+nameLen, formatName, "snapshot's entry")
	if err != nil {
		return s, err
	}
	if extra >= 8 {
		s.memory = max(0, int64(be.Uint64(rest)))
	}
	if extra >= 16 {
		s.size, s.sized = int64(be.Uint64(rest[8:])), true
	}
	s.id, s.name = string(rest[extra:extra+idLen]), string(rest[extra+idLen:])
	s.length = (snapshotBytes + int64(len(rest)) + 7) &^ 7
	s.problem = s.check(h, fileSize)
	return s, nil
}

// check tells why a snapshot cannot be opened.
func (s *snapshot) check(h *header, fileSize int64) error {
	n := s.l1Size * 8
	switch {
	case s.l1Offset <= 0 && n > 0 || s.l1Offset&(h.clusterSize()-1) != 0 || n > maxL1Bytes || s.l1Offset > fileSize || n > fileSize-s.l1Offset:
		return disk.Corrupt(formatName, s.at, "the L1 table of snapshot %q (%d entries at %#x) cannot be there", s.id, s.l1Size, s.l1Offset)
	case s.size < 0 || s.size > maxDiskSize || h.l1Needed(s.size) > s.l1Size:
		return disk.Corrupt(formatName, s.at, "the L1 table of snapshot %q has %d entries, too few for its %d bytes", s.id, s.l1Size, s.size)
	}
	return nil
}

// Snapshots lists the image's internal snapshots.
func (img *image) Snapshots() []disk.Snapshot {
	var all []disk.Snapshot
	for _, s := range img.snapshots {
		all = append(all, disk.Snapshot{ID: s.id, Name: s.name, Created: s.created, Memory: s.memory})
	}
	return all
}

// enter makes the image show a snapshot, by ID, else by name.
func (img *image) enter(want string) error {
	for _, byName := range []bool{false, true} {
		for _, s := range img.snapshots {
			if byName && s.name != want || !byName && s.id != want {
				continue
			}
			if s.problem != nil {
				return s.problem
			}
			img.snapshot, img.l1Offset, img.l1Size = s.id, s.l1Offset, s.l1Size
			img.size.Store(s.size)
			return nil
		}
	}
	return disk.Usage("the image has no snapshot %q; it has %s", want, img.listed())
}

// listed is the first snapshots by ID and name, for people to choose from.
func (img *image) listed() string {
	const most = 10
	var all []string
	for _, s := range img.snapshots[:min(len(img.snapshots), most)] {
		all = append(all, fmt.Sprintf("%q (%q)", s.id, s.name))
	}
	if more := len(img.snapshots) - most; more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
