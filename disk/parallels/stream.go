package parallels

import (
	"bufio"
	"encoding/binary"
	"io"

	"github.com/panalvm/panal/disk"
)

// sink writes an image to a pipe. Its BAT comes first, so the ranges that will
// have data must be known.
type sink struct {
	w       *bufio.Writer
	h       header
	runs    []clusterRun // that have a place, ascending, apart
	at      int64        // the next cluster with a place, counted within runs
	current int          // the run that at lies in
	pad     []byte
}

// clusterRun is clusters that will have data.
type clusterRun struct{ first, end int64 }

// stream begins an image in one pass.
func stream(w io.Writer, t *disk.Target) (disk.Sink, error) {
	if err := checkTarget(t); err != nil {
		return nil, err
	}
	if t.On(optionBundle) {
		return nil, disk.Unsupported(name, "a bundle is several files and cannot be written to a pipe")
	}
	s := &sink{w: bufio.NewWriterSize(w, 64<<10), h: headerOf(t)}
	s.h.begin(t.Size)
	s.pad = make([]byte, s.h.cluster())
	s.runs = runsOf(t.Data, s.h.cluster(), s.h.clusters())
	if len(s.runs) > 0 {
		s.at = s.runs[0].first
	}
	if _, err := s.w.Write(s.h.encode()); err != nil {
		return nil, err
	}
	return s, s.writeTable()
}

// runsOf widens ranges to clusters and joins them.
func runsOf(data []disk.Extent, cluster, clusters int64) []clusterRun {
	var runs []clusterRun
	for _, e := range data {
		r := clusterRun{max(0, e.Off) / cluster, min(ceilDiv(e.End(), cluster), clusters)}
		if r.first >= r.end || e.State != disk.Data {
			continue
		}
		if last := len(runs) - 1; last >= 0 && r.first <= runs[last].end {
			runs[last].end = max(runs[last].end, r.end)
			continue
		}
		runs = append(runs, r)
	}
	return runs
}

// writeTable gives the clusters their places, in the order of the disk.
func (s *sink) writeTable() error {
	next := s.h.base() / s.h.unit()
	step := s.h.cluster() / s.h.unit()
	var entry [4]byte
	index := int64(0)
	put := func(v int64) error {
		binary.LittleEndian.PutUint32(entry[:], uint32(v))
		index++
		_, err := s.w.Write(entry[:])
		return err
	}
	for _, r := range s.runs {
		for index < r.first {
			if err := put(0); err != nil {
				return err
			}
		}
		for index < r.end {
			if err := put(next); err != nil {
				return err
			}
			next += step
		}
	}
	for index < int64(s.h.entries) {
		if err := put(0); err != nil {
			return err
		}
	}
	_, err := s.w.Write(s.pad[:s.h.data()-s.h.tableEnd()])
	return err
}

// BlockSize is the cluster's.
func (s *sink) BlockSize() int { return int(s.h.cluster()) }

// Encode has nothing to do.
func (s *sink) Encode(dst, block []byte) ([]byte, error) { return append(dst, block...), nil }

// Append writes a cluster, and zeros for those before it that were announced.
func (s *sink) Append(off int64, encoded []byte) error {
	if off < 0 || off%s.h.cluster() != 0 || off >= s.h.size() || int64(len(encoded)) > s.h.cluster() {
		return disk.Usage("a block of %d bytes at %d", len(encoded), off)
	}
	index := off / s.h.cluster()
	if err := s.fillTo(index); err != nil {
		return err
	}
	if s.current >= len(s.runs) || s.at != index {
		if isZero(encoded) {
			return nil
		}
		return disk.Usage("the block at %d was not announced, or comes after a later one", off)
	}
	if _, err := s.w.Write(encoded); err != nil {
		return err
	}
	if _, err := s.w.Write(s.pad[len(encoded):]); err != nil {
		return err
	}
	s.next()
	return nil
}

// fillTo writes zeros for what was announced before a cluster.
func (s *sink) fillTo(index int64) error {
	for s.current < len(s.runs) && s.at < index {
		if _, err := s.w.Write(s.pad); err != nil {
			return err
		}
		s.next()
	}
	return nil
}

func (s *sink) next() {
	if s.at++; s.at >= s.runs[s.current].end {
		if s.current++; s.current < len(s.runs) {
			s.at = s.runs[s.current].first
		}
	}
}

// Close writes zeros for what was announced and did not come.
func (s *sink) Close() error {
	if err := s.fillTo(s.h.clusters()); err != nil {
		return err
	}
	return s.w.Flush()
}
