// Package formats is the list of all image formats: for whoever wants them all.
// A program that knows what it will meet names those few instead, and links
// no others.
package formats

import (
	"slices"

	"github.com/panalvm/panal/disk"
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
	raw.Format,
}

// All lists every format, in the order in which they are told to people. The
// list is the caller's own.
func All() []*disk.Format { return slices.Clone(all) }
