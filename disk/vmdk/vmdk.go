package vmdk

import "github.com/panalvm/panal/disk"

// Format is VMDK, in all its kinds.
var Format = &disk.Format{
	Name:       name,
	Extensions: []string{"vmdk"},
	Title:      "VMware Virtual Disk",
	Variants: []disk.Variant{
		{Name: kindSparse, Aliases: []string{"Standard", "sparse", "dynamic"}, Title: "one file that grows", Create: true, Write: true, Parent: true},
		{Name: kindFlat, Aliases: []string{"Fixed", "flat"}, Title: "a descriptor, and one file of full size", Create: true, Write: true},
		{Name: kindSplitSparse, Aliases: []string{"Split2G", "2GbMaxExtentSparse"}, Title: "a descriptor, and files of up to 2 GiB that grow", Create: true, Write: true, Parent: true},
		{Name: kindSplitFlat, Aliases: []string{"Fixed,Split2G", "2GbMaxExtentFlat"}, Title: "a descriptor, and files of 2 GiB", Create: true, Write: true},
		{Name: kindStream, Aliases: []string{"Stream"}, Title: "one compressed file, for appliances and pipes", Create: true, Stream: true, Always: true},
		{Name: kindVMFS, Aliases: []string{"ESX"}, Title: "a descriptor, and one file of full size, for ESXi", Create: true, Write: true},
		{Name: "vmfsSparse", Aliases: []string{"COWD"}, Title: "a snapshot of ESX; can be read only"},
		{Name: "seSparse", Title: "a snapshot of ESXi 6.5 and later; can be read only"},
	},
	Options: options(),
	Probe:   probe,
	Open:    open,
	Create:  create,
	Stream:  stream,
	Forward: forward,
}

// The values of createType that are written: Virtual Disk Format 5.0, "The
// Header".
const (
	kindSparse      = "monolithicSparse"
	kindFlat        = "monolithicFlat"
	kindSplitSparse = "twoGbMaxExtentSparse"
	kindSplitFlat   = "twoGbMaxExtentFlat"
	kindStream      = "streamOptimized"
	kindVMFS        = "vmfs"
)
