package qcow2

import (
	"bytes"
	"errors"
	"math/bits"

	"github.com/panalvm/panal/disk"
)

// create makes an empty image in t.File.
func create(t *disk.Target) (disk.Image, error) {
	img, err := build(t)
	if err == nil {
		return img, nil
	}
	if img == nil {
		return nil, errors.Join(err, t.File.Close())
	}
	img.closed = true
	return nil, errors.Join(err, img.release())
}

func build(t *disk.Target) (*image, error) {
	t.Size = wholeSectors(t.Size)
	p, err := planOf(t)
	if err != nil {
		return nil, err
	}
	p.place(p.h.l1Needed(t.Size))
	first, err := p.firstCluster()
	if err != nil {
		return nil, err
	}
	img := assemble(t.File, p.h)
	img.codec.level = zstdLevels[t.Text("compressionLevel")]
	img.extensions, img.backing = p.extensions, p.backing
	img.parent, img.foreign, img.canWrite = t.Parent, true, true
	if err := img.lay(p, first); err != nil {
		return img, err
	}
	if err := img.seal(p, t); err != nil {
		return img, err
	}
	if p.dataFile != "" {
		img.data = nil
		if img.data, err = t.Sibling(p.dataFile); err != nil {
			return img, err
		}
		if err := img.data.Truncate(t.Size); err != nil {
			return img, err
		}
	}
	if mode := t.Text("preallocation"); mode != "off" {
		if err := img.preallocate(mode != "metadata"); err != nil {
			return img, err
		}
	}
	if img.outside() {
		if err := img.data.Sync(); err != nil {
			return img, err
		}
	}
	return img, img.file.Sync()
}

// wholeSectors is the next size that a disk for guests can have: QEMU shows them
// no part of a sector.
func wholeSectors(size int64) int64 {
	if size > maxDiskSize {
		return size // and is refused
	}
	return (size + 511) &^ 511
}

// plan is what a new image is to be.
type plan struct {
	h          header
	extensions []extension
	backing    backing
	dataFile   string
	encryption []byte // the LUKS header, of an image that is encrypted
}

// planOf reads the options of a target.
func planOf(t *disk.Target) (*plan, error) {
	p := &plan{h: header{version: 3, length: headerOurs, size: uint64(t.Size)}}
	if err := p.shape(t); err != nil {
		return nil, err
	}
	if err := p.features(t); err != nil {
		return nil, err
	}
	if err := p.encrypt(t); err != nil {
		return nil, err
	}
	if t.Size > maxDiskSize || p.h.l1Needed(t.Size)*8 > max(maxL1Bytes, p.h.clusterSize()) {
		return nil, disk.Unsupported(formatName, "a disk of %d bytes needs an L1 table of more than %d bytes; choose larger clusters", t.Size, maxL1Bytes)
	}
	if t.Parent != nil && t.Text("preallocation") != "off" && !t.On("extendedL2") {
		return nil, disk.Usage("preallocation would hide the parent; choose extendedL2, whose clusters may have a place and no content")
	}
	if t.Parent != nil {
		p.backing = backing{name: pathName(t.ParentName), format: t.ParentFormat}
		if len(p.backing.name) == 0 || len(p.backing.name) > maxBackingName {
			return nil, disk.Usage("the name of the parent has %d bytes; from 1 to %d are possible", len(p.backing.name), maxBackingName)
		}
	}
	p.extend()
	return p, nil
}

// shape reads the options for sizes.
func (p *plan) shape(t *disk.Target) error {
	cluster, width := t.Int("clusterSize"), t.Int("refcountBits")
	if bits.OnesCount64(uint64(cluster)) != 1 {
		return disk.Usage("option clusterSize is %d; it must be a power of two", cluster)
	}
	if bits.OnesCount64(uint64(width)) != 1 {
		return disk.Usage("option refcountBits is %d; it must be a power of two", width)
	}
	p.h.clusterBits = uint32(bits.TrailingZeros64(uint64(cluster)))
	p.h.refcountOrder = uint32(bits.TrailingZeros64(uint64(width)))
	if v := t.Text("compat"); v == "v2" || v == "0.10" {
		p.h.version, p.h.length = 2, headerV2
		if width != 16 {
			return disk.Usage("refcountBits needs version 3 of the format")
		}
	}
	return nil
}

// features reads the options that set feature bits.
func (p *plan) features(t *disk.Target) error {
	h := &p.h
	p.dataFile = t.Text("dataFile")
	if t.Text("compression") == "zstd" {
		h.incompatible |= incompatCompression
		h.compression = compressionZstd
	}
	if t.On("extendedL2") {
		h.incompatible |= incompatExtendedL2
		if h.clusterBits < 14 {
			return disk.Usage("extendedL2 needs clusters of 16K or more")
		}
	}
	if t.On("lazyRefcounts") {
		h.compatible |= compatLazyRefcounts
	}
	if p.dataFile != "" {
		h.incompatible |= incompatDataFile
	}
	if t.On("dataFileRaw") {
		h.autoclear |= autoclearDataFileRaw
		if p.dataFile == "" || t.Parent != nil {
			return disk.Usage("dataFileRaw needs a dataFile and no parent")
		}
	}
	if h.version == 2 && h.incompatible|h.compatible|h.autoclear != 0 {
		return disk.Usage("zstd, extendedL2, lazyRefcounts and dataFile need version 3 of the format")
	}
	return nil
}

// extend makes the header extensions; the names of features where there is
// room.
func (p *plan) extend() {
	if p.h.version >= 3 && p.h.clusterSize() >= 4096 {
		p.extensions = append(p.extensions, extension{kind: extFeatureNames, data: encodeFeatures(ourFeatures)})
	}
	if p.dataFile != "" {
		p.extensions = with(p.extensions, extDataFile, []byte(p.dataFile))
	}
	if p.backing.format != "" {
		p.extensions = with(p.extensions, extBackingFormat, []byte(p.backing.format))
	}
}

// place says where the tables lie: the header, the refcount table, its first
// blocks, the L1 table.
func (p *plan) place(l1 int64) {
	h, cs := &p.h, p.h.clusterSize()
	perBlock := cs * 8 / int64(h.refcountBits())
	most := max(int64(h.size)/cs*17/16/perBlock*8, 1) // blocks for a full disk
	h.refTableLen = uint32(min(most/cs+1, max(1, 1<<20/cs)))
	h.refTableOffset = cs
	h.l1Size = uint32(max(l1, 1))
	l1Clusters := (l1*8 + cs - 1) / cs
	blocks := int64(1)
	for {
		used := 1 + int64(h.refTableLen) + blocks + l1Clusters + p.sealClusters()
		if blocks*perBlock >= used && int64(h.refTableLen)*cs/8 >= blocks {
			break
		}
		if int64(h.refTableLen)*cs/8 < blocks {
			h.refTableLen++
		} else {
			blocks++
		}
	}
	h.l1Offset = (1 + int64(h.refTableLen) + blocks) * cs
	if p.encryption != nil {
		p.extensions = with(p.extensions, extCrypto, p.sealed().encode())
	}
}

// usedClusters is how many clusters an empty image has.
func (p *plan) usedClusters() int64 {
	cs := p.h.clusterSize()
	return p.h.l1Offset/cs + max((int64(p.h.l1Size)*8+cs-1)/cs, 1) + p.sealClusters()
}

// firstCluster is the header with its extensions and the parent's name.
func (p *plan) firstCluster() ([]byte, error) {
	return composeHeader(&p.h, p.extensions, p.backing.name)
}

// composeHeader makes the first cluster.
func composeHeader(h *header, extensions []extension, backingName string) ([]byte, error) {
	out := make([]byte, h.length)
	tail := encodeExtensions(extensions)
	h.backingOffset, h.backingLen = 0, 0
	if backingName != "" {
		h.backingOffset = int64(len(out) + len(tail))
		h.backingLen = uint32(len(backingName))
	}
	h.encode(out)
	out = append(append(out, tail...), backingName...)
	if int64(len(out)) > h.clusterSize() {
		return nil, disk.Unsupported(formatName, "the headers and the parent's name have %d bytes and must fit into a cluster of %d; choose larger clusters or a shorter name", len(out), h.clusterSize())
	}
	return append(out, make([]byte, h.clusterSize()-int64(len(out)))...), nil
}

// lay writes an empty image.
func (img *image) lay(p *plan, first []byte) error {
	h, cs := &img.h, img.clusterSize()
	used := p.usedClusters()
	if err := img.file.Truncate(used * cs); err != nil {
		if _, err := img.file.WriteAt(make([]byte, cs), (used-1)*cs); err != nil { // a block device
			return err
		}
	}
	if _, err := img.file.WriteAt(first, 0); err != nil {
		return err
	}
	img.first = bytes.Clone(first[:headerSector])
	for _, z := range [][2]int64{{cs, h.l1Offset}, {h.l1Offset, (used - p.sealClusters()) * cs}} {
		for off := z[0]; off < z[1]; off += cs {
			if _, err := img.file.WriteAt(make([]byte, cs), off); err != nil {
				return err
			}
		}
	}
	blocks := h.refTableOffset/cs + int64(h.refTableLen)
	for i := range h.l1Offset/cs - blocks {
		if err := img.refs.table.put(h.refTableOffset+i*8, 8, uint64((blocks+i)*cs)); err != nil {
			return err
		}
	}
	for c := range used {
		if err := img.refs.set(c, 1); err != nil {
			return err
		}
	}
	if err := img.refs.flushBlocks(); err != nil {
		return err
	}
	return img.refs.table.flush()
}

// preallocate gives each cluster its place, and writes zeros there if it is to be
// full: so the room is taken.
func (img *image) preallocate(full bool) error {
	if err := img.touch(); err != nil {
		return err
	}
	cs, span := img.clusterSize(), img.h.l2Span()
	for off := int64(0); off < img.Size(); off += span {
		end := min(off+span, (img.Size()+cs-1)&^(cs-1))
		host, err := img.preallocateTable(off, end)
		if err != nil {
			return err
		}
		if full {
			if err := img.writeZeros(host, min(end, img.Size())-off); err != nil {
				return err
			}
		}
		if err := img.relieve(); err != nil {
			return err
		}
	}
	if err := img.sync(); err != nil {
		return err
	}
	return img.fillUp()
}

// preallocateTable gives the clusters of [off, end), which one L2 table speaks of,
// their places in a row. Subclusters stay as they are, so that a parent is seen.
func (img *image) preallocateTable(off, end int64) (host int64, err error) {
	cs := img.clusterSize()
	table, err := img.ownTable(off)
	if err != nil {
		return 0, err
	}
	host = off
	if !img.dataFile {
		if host, err = img.take((end - off) / cs); err != nil {
			return 0, err
		}
	}
	for at := off; at < end; at += cs {
		if err := img.setEntry(img.slot(table, at), entry{word: uint64(host+at-off) | flagCopied}); err != nil {
			return 0, err
		}
	}
	return host, nil
}

// writeZeros writes zeros where the disk's content lies.
func (img *image) writeZeros(off, n int64) error {
	zeros := make([]byte, min(n, maxRun))
	for end := off + n; off < end; off += int64(len(zeros)) {
		if _, err := img.data.WriteAt(zeros[:min(int64(len(zeros)), end-off)], off); err != nil {
			return err
		}
	}
	return nil
}
