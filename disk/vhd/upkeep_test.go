package vhd_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/vhd"
)

// damaged are images to be repaired.
func damaged() map[string][]byte {
	full := []byte{0xff}
	b := built{kind: 3, current: 16 << 10, id: 1, block: 4096, blocks: []*blockOf{
		{full, sectors(1, 1, 1, 1, 1, 1, 1, 1)}, {full, sectors(2, 2, 2, 2, 2, 2, 2, 2)}, {full, sectors(3, 3, 3, 3, 3, 3, 3, 3)}, nil,
	}}
	shared := b.bytes()
	entry := func(i int) []byte { return shared[1536+4*i:] }
	binary.BigEndian.PutUint32(entry(1), binary.BigEndian.Uint32(entry(0)))
	binary.BigEndian.PutUint32(entry(3), binary.BigEndian.Uint32(entry(2))+3)
	whole := plain().bytes()
	sums := bytes.Clone(whole)
	sums[200] ^= 0xff
	sums[512+60] ^= 0xff
	sums[len(sums)-512+200] ^= 0xff
	return map[string][]byte{
		"shared":       shared,
		"lost":         whole[:len(whole)-512-4096-512],
		"no footer":    whole[:len(whole)-512],
		"short footer": whole[:len(whole)-1],
		"checksums":    sums,
	}
}

// Whatever is done to an image may be broken off.
func TestUpkeep(t *testing.T) {
	t.Run("dynamic", func(t *testing.T) {
		disktest.Upkeep(t, disktest.Subject{Format: vhd.Format, Options: map[string]string{"blockSize": "4K"}, Block: 4 << 10, Size: 24<<12 + 512}, damaged())
	})
	t.Run("fixed", func(t *testing.T) {
		disktest.Upkeep(t, disktest.Subject{Format: vhd.Format, Variant: "fixed", Block: 4 << 10, Size: 24<<12 + 512}, nil)
	})
}
