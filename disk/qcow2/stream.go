package qcow2

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"

	"github.com/panalvm/panal/disk"
)

// streamSink writes an image to a pipe: all tables first, for the clusters that
// were announced, then these.
type streamSink struct {
	out     *bufio.Writer
	cluster int64
	size    int64
	data    []clusters // of the disk, still to come
	child   bool       // what is left out is the parent's, not zero
	last    int64      // the cluster that was appended last
	closed  bool
	failed  error
}

// stream writes the tables of an image whose content is to be appended.
func stream(w io.Writer, t *disk.Target) (disk.Sink, error) {
	asked := t.Size // what blocks are appended of
	t.Size = wholeSectors(t.Size)
	p, err := planOf(t)
	if err != nil {
		return nil, err
	}
	if t.Encryption != nil {
		return nil, disk.Unsupported(formatName, "an encrypted image cannot be written to a pipe")
	}
	if p.dataFile != "" || t.Text("preallocation") != "off" {
		return nil, disk.Unsupported(formatName, "an image with a data file or with preallocation cannot be written to a pipe")
	}
	data, err := announced(t, p.h.clusterSize())
	if err != nil {
		return nil, err
	}
	s := &streamSink{out: bufio.NewWriterSize(w, 1<<20), cluster: p.h.clusterSize(), size: asked, data: data, child: t.Parent != nil, last: -1}
	return s, p.writeTables(s.out, data)
}

// announced is the clusters that will be appended.
func announced(t *disk.Target, cs int64) ([]clusters, error) {
	var all []clusters
	for _, e := range t.Data {
		if err := disk.InRange(e.Off, e.Len, t.Size); err != nil {
			return nil, err
		}
		if e.Len == 0 {
			continue
		}
		first, end := e.Off/cs, (e.End()+cs-1)/cs
		if n := len(all); n > 0 {
			last := &all[n-1]
			if first < last.first {
				return nil, disk.Usage("the ranges to be appended do not ascend at %d", e.Off)
			}
			if first <= last.end() {
				last.count = max(last.end(), end) - last.first
				continue
			}
		}
		all = append(all, clusters{first: first, count: end - first})
	}
	return all, nil
}

// writeTables writes the header and all tables.
func (p *plan) writeTables(w *bufio.Writer, data []clusters) error {
	h := &p.h
	tables, content := p.l2Tables(data)
	l1 := h.l1Needed(int64(h.size))
	h.l1Size = uint32(max(l1, 1))
	blocks := p.placeStream(tables + content)
	if h.refTableLen<<h.clusterBits > maxRefTable {
		return disk.Unsupported(formatName, "the image would need a refcount table of more than %d bytes; choose larger clusters", maxRefTable)
	}
	total := p.usedClusters() + tables + content
	first, err := p.firstCluster()
	if err != nil {
		return err
	}
	if _, err := w.Write(first); err != nil {
		return err
	}
	if err := p.streamRefcounts(w, blocks, total); err != nil {
		return err
	}
	if err := p.streamL1(w, data); err != nil {
		return err
	}
	return p.streamL2(w, data, p.usedClusters()+tables)
}

// l2Tables is how many L2 tables and how many data clusters there are.
func (p *plan) l2Tables(data []clusters) (tables, content int64) {
	next, per := int64(0), p.h.l2Entries()
	for _, r := range data {
		content += r.count
		first, last := max(r.first/per, next), (r.end()-1)/per
		tables += max(last-first+1, 0)
		next = last + 1
	}
	return tables, content
}

// placeStream places the refcount table, exactly as many blocks as all need, and
// the L1 table; more is how many clusters follow.
func (p *plan) placeStream(more int64) (blocks int64) {
	h, cs := &p.h, p.h.clusterSize()
	per := cs * 8 / int64(h.refcountBits())
	l1 := max((int64(h.l1Size)*8+cs-1)/cs, 1)
	for length := int64(0); ; {
		total := 1 + length + blocks + l1 + more
		b := (total + per - 1) / per
		n := (b*8 + cs - 1) / cs
		if b == blocks && n == length {
			h.refTableLen, h.refTableOffset, h.l1Offset = uint32(length), cs, (1+length+blocks)*cs
			return blocks
		}
		blocks, length = b, n
	}
}

// streamRefcounts writes the refcount table and blocks: all clusters are used
// once.
func (p *plan) streamRefcounts(w *bufio.Writer, blocks, total int64) error {
	h, cs := &p.h, p.h.clusterSize()
	table := make([]byte, int64(h.refTableLen)*cs)
	for i := range blocks {
		binary.BigEndian.PutUint64(table[i*8:], uint64((1+int64(h.refTableLen)+i)*cs))
	}
	if _, err := w.Write(table); err != nil {
		return err
	}
	per := cs * 8 / int64(h.refcountBits())
	for i := range blocks {
		block := make([]byte, cs)
		for k := range min(per, total-i*per) {
			putBits(block, k, h.refcountBits(), 1)
		}
		if _, err := w.Write(block); err != nil {
			return err
		}
	}
	return nil
}

// streamL1 writes the L1 table; the L2 tables follow it.
func (p *plan) streamL1(w *bufio.Writer, data []clusters) error {
	cs, per := p.h.clusterSize(), p.h.l2Entries()
	table := p.usedClusters() * cs
	n := (p.usedClusters()*cs - p.h.l1Offset) / 8
	for i := range n {
		for len(data) > 0 && data[0].end() <= i*per {
			data = data[1:]
		}
		v := uint64(0)
		if len(data) > 0 && data[0].first < (i+1)*per {
			v = uint64(table) | flagCopied
			table += cs
		}
		if _, err := w.Write(binary.BigEndian.AppendUint64(nil, v)); err != nil {
			return err
		}
	}
	return nil
}

// streamL2 writes the L2 tables; the data clusters begin at the cluster host.
func (p *plan) streamL2(w *bufio.Writer, data []clusters, host int64) error {
	cs, per := p.h.clusterSize(), p.h.l2Entries()
	table, index := make([]byte, cs), int64(-1)
	for _, r := range data {
		for c := r.first; c < r.end(); c++ {
			if c/per != index {
				if index >= 0 {
					if _, err := w.Write(table); err != nil {
						return err
					}
				}
				clear(table)
				index = c / per
			}
			e := table[c%per*p.h.entryBytes():]
			binary.BigEndian.PutUint64(e, uint64(host*cs)|flagCopied)
			if p.h.extended() {
				binary.BigEndian.PutUint64(e[8:], 1<<subclusters-1)
			}
			host++
		}
	}
	if index < 0 {
		return nil
	}
	_, err := w.Write(table)
	return err
}

// BlockSize is a cluster.
func (s *streamSink) BlockSize() int { return int(s.cluster) }

// Encode leaves the block as it is.
func (s *streamSink) Encode(_, block []byte) ([]byte, error) { return block, nil }

// Append writes a block, and zeros for those that were announced before it.
func (s *streamSink) Append(off int64, encoded []byte) error {
	switch {
	case s.failed != nil:
		return s.failed
	case s.closed:
		return errClosed
	case off%s.cluster != 0 || off >= s.size || int64(len(encoded)) != min(s.cluster, s.size-off):
		return disk.Usage("qcow2: a block of %d bytes appended at %d; blocks have %d", len(encoded), off, s.cluster)
	}
	s.failed = s.append(off/s.cluster, encoded)
	return s.failed
}

func (s *streamSink) append(cluster int64, p []byte) error {
	if cluster <= s.last {
		return disk.Usage("qcow2: the block at %d comes behind that at %d", cluster*s.cluster, s.last*s.cluster)
	}
	s.last = cluster
	if err := s.zerosBefore(cluster); err != nil {
		return err
	}
	if len(s.data) == 0 || s.data[0].first != cluster {
		if !s.child && allZero(p) {
			return nil
		}
		return disk.Usage("qcow2: the block at %d was not announced", cluster*s.cluster)
	}
	s.taken(1)
	if _, err := s.out.Write(p); err != nil {
		return err
	}
	return s.zeros(s.cluster - int64(len(p)))
}

// allZero tells whether there are only zeros in p.
func allZero(p []byte) bool {
	return len(p) == 0 || p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1])
}

// taken passes over announced clusters.
func (s *streamSink) taken(n int64) {
	s.data[0].first += n
	s.data[0].count -= n
	if s.data[0].count == 0 {
		s.data = s.data[1:]
	}
}

// zerosBefore writes the announced clusters before one that were left out.
func (s *streamSink) zerosBefore(cluster int64) error {
	for len(s.data) > 0 && s.data[0].first < cluster {
		n := min(s.data[0].end(), cluster) - s.data[0].first
		s.taken(n)
		if err := s.zeros(n * s.cluster); err != nil {
			return err
		}
	}
	return nil
}

func (s *streamSink) zeros(n int64) error {
	for p := make([]byte, min(n, 64<<10)); n > 0; n -= int64(len(p)) {
		p = p[:min(n, int64(len(p)))]
		if _, err := s.out.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// Close writes what is left.
func (s *streamSink) Close() error {
	if s.closed || s.failed != nil {
		return s.failed
	}
	s.closed = true
	if err := s.zerosBefore((s.size + s.cluster - 1) / s.cluster); err != nil {
		return err
	}
	return s.out.Flush()
}
