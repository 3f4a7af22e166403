package parallels

import (
	"crypto/md5" //nolint:gosec // the format's checksum, not a protection
	"encoding/binary"
	"fmt"

	"github.com/panalvm/panal/disk"
)

// The format extension, QEMU docs/interop/parallels "Format Extension".
const (
	extMagic     = 0xAB234CEF23DCEA87
	extHeader    = 24 // magic, MD5 of the rest of the cluster
	featureLen   = 24
	featureEnd   = 0
	featureDirty = 0x20385FAE252CB34A // a dirty bitmap

	featureNecessary = 1 // who does not know it must not write
	featureTransit   = 2 // who does not know it leaves it

	maxExtension = 16 << 20 // of a cluster that is read for features
)

// extension is what stands in a format extension.
type extension struct {
	off      int64 // of its cluster
	valid    bool  // magic and checksum are right
	features []feature
	problem  string // why it is not valid, or where reading it ended
}

// feature is a section of it.
type feature struct {
	off    int64 // in the file
	id     uint64
	flags  uint64
	len    uint32
	places []int64 // of clusters that a bitmap lies in
}

func (f feature) String() string {
	if f.id == featureDirty {
		return "dirty bitmap"
	}
	return fmt.Sprintf("feature %#016x", f.id)
}

// readExtension reads what h points to. What is wrong with it is not an error:
// the disk can be read without.
func readExtension(file disk.File, h *header) (*extension, error) {
	if h.extOff == 0 {
		return nil, nil
	}
	x := &extension{off: int64(h.extOff) * sector}
	if h.cluster() > maxExtension {
		x.problem = fmt.Sprintf("its cluster of %d bytes is too large", h.cluster())
		return x, nil
	}
	p, err := disk.ReadFull(file, x.off, h.cluster(), name, "format extension")
	if err != nil {
		if _, ok := err.(*disk.FormatError); !ok {
			return nil, err
		}
		x.problem = "it lies beyond the end of the file"
		return x, nil
	}
	x.parse(p)
	return x, nil
}

func (x *extension) parse(p []byte) {
	le := binary.LittleEndian
	if len(p) < extHeader+featureLen || le.Uint64(p) != extMagic {
		x.problem = "its magic is wrong"
		return
	}
	if sum := md5.Sum(p[extHeader:]); string(sum[:]) != string(p[8:24]) { //nolint:gosec // as above
		x.problem = "its checksum is wrong"
		return
	}
	x.valid = true
	for at := extHeader; ; {
		if at+featureLen > len(p) {
			x.problem = "it has no end mark"
			return
		}
		f := feature{off: x.off + int64(at), id: le.Uint64(p[at:]), flags: le.Uint64(p[at+8:]), len: le.Uint32(p[at+16:])}
		if f.id == featureEnd {
			return
		}
		body := p[at+featureLen:]
		if int64(f.len) > int64(len(body)) {
			x.problem = fmt.Sprintf("the %s at %#x is longer than the cluster", f, f.off)
			return
		}
		f.places = f.bitmapPlaces(body[:f.len])
		x.features = append(x.features, f)
		at += featureLen + int(roundUp(int64(f.len), 8))
	}
}

// bitmapPlaces lists where the clusters of a dirty bitmap lie.
func (f *feature) bitmapPlaces(body []byte) []int64 {
	const l1 = 32 // its offset: size 8, id 16, granularity 4, l1_size 4
	if f.id != featureDirty || len(body) < l1 {
		return nil
	}
	n := min(int(binary.LittleEndian.Uint32(body[28:])), (len(body)-l1)/8)
	var places []int64
	for i := range n {
		// 0 and 1 stand for clusters of all zeros and all ones.
		if v := binary.LittleEndian.Uint64(body[l1+8*i:]); v > 1 && v < 1<<53 {
			places = append(places, int64(v)*sector)
		}
	}
	return places
}

// foreign tells whether clusters may be used by something that we do not know.
func (x *extension) foreign() bool {
	if x == nil {
		return false
	}
	if !x.valid || x.problem != "" {
		return true
	}
	for _, f := range x.features {
		if f.id != featureDirty {
			return true
		}
	}
	return false
}

// forbidsWriting is the feature that must be understood by who writes, or nil.
func (x *extension) forbidsWriting() *feature {
	if x == nil {
		return nil
	}
	for i, f := range x.features {
		if f.flags&featureNecessary != 0 {
			return &x.features[i]
		}
	}
	return nil
}

// places are the clusters that the extension takes, its own first.
func (x *extension) places() []int64 {
	if x == nil {
		return nil
	}
	all := []int64{x.off}
	for _, f := range x.features {
		all = append(all, f.places...)
	}
	return all
}
