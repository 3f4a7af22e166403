package vhd_test

import (
	"bytes"
	"testing"

	"github.com/panalvm/panal/disk/disktest"
)

func FuzzOpen(f *testing.F) {
	xen := plain()
	xen.creator, xen.batmap = "tap\x00", []byte{0x40}
	diff := child()
	diff.locators = []locatorOf{{"W2ru", utf16le(`.\base.vhd`)}, {"MacX", []byte("file://./base.vhd")}}
	fixed := built{kind: 2, current: 1024, id: 3}
	disktest.Fuzz(f, formats, plain().bytes(), xen.bytes(), diff.bytes(), append(make([]byte, 1024), fixed.footer()...))
}

// FuzzSummed has the checksums right, which chance never does: so what is
// behind them is reached.
func FuzzSummed(f *testing.F) {
	diff := child()
	diff.locators = []locatorOf{{"W2ru", utf16le(`.\base.vhd`)}}
	xen := plain()
	xen.creator, xen.batmap = "tap\x00", []byte{0x40}
	for _, seed := range [][]byte{plain().bytes(), xen.bytes(), diff.bytes()} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > 2048 {
			p = bytes.Clone(p)
			sum(p[:512], 64)
			sum(p[512:1536], 36)
			sum(p[len(p)-512:], 64)
		}
		if err := disktest.Hostile(formats, p); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzOperations(f *testing.F) { disktest.FuzzOps(f, subject()) }
