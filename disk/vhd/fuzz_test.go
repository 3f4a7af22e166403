package vhd_test

import (
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

func FuzzOperations(f *testing.F) { disktest.FuzzOps(f, subject()) }
