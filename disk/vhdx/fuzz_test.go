package vhdx

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
)

func FuzzOpen(f *testing.F) {
	link := "{" + handWrite + "}"
	disktest.Fuzz(f, formats(), parent(512), child(512, "parent_linkage", link, "relative_path", "p.vhdx"), dirty(512))
}
