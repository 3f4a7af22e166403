package parallels

// Header is what tests build images with.
type Header = header

// Encode is the header's bytes.
func (h *Header) Encode() []byte { return h.encode() }

// NewTestHeader describes an image for tests: places of clusters follow it in
// the BAT.
func NewTestHeader(isNew bool, tracks, entries uint32, sectors uint64, dataOff uint32) Header {
	return Header{isNew: isNew, heads: 16, cylinders: 8, tracks: tracks, entries: entries, sectors: sectors, dataOff: dataOff}
}

// Mark sets the in-use mark and the flags.
func (h *Header) Mark(inUse, flags uint32, extOff uint64) {
	h.inUse, h.flags, h.extOff = inUse, flags, extOff
}
