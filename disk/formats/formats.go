// Package formats is the list of all image formats: for whoever wants them all.
// A program that knows what it will meet names those few instead, and links
// no others.
package formats

import (
	"slices"
	"strings"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/luks"
	"github.com/panalvm/panal/disk/parallels"
	"github.com/panalvm/panal/disk/qcow1"
	"github.com/panalvm/panal/disk/qcow2"
	"github.com/panalvm/panal/disk/raw"
	"github.com/panalvm/panal/disk/vdi"
	"github.com/panalvm/panal/disk/vhd"
	"github.com/panalvm/panal/disk/vhdx"
	"github.com/panalvm/panal/disk/vmdk"
	"github.com/panalvm/panal/disk/xva"
)

// all is every format. Raw is last: anything could be it.
var all = []*disk.Format{
	qcow2.Format,
	vmdk.Format,
	vdi.Format,
	vhd.Format,
	vhdx.Format,
	parallels.Format,
	qcow1.Format,
	xva.Format,
	luks.Format,
	raw.Format,
}

// All lists every format, in the order in which they are told to people. The
// list is the caller's own.
func All() []*disk.Format { return slices.Clone(all) }

// Streamed lists the formats, with their variants, that can be written in one
// pass: what disk.NewStream takes.
func Streamed() []string {
	var names []string
	for _, f := range All() {
		for _, v := range f.Variants {
			if v.Stream && f.Stream != nil {
				names = append(names, strings.TrimSuffix(f.Name+":"+v.Name, ":"))
			}
		}
	}
	return names
}
