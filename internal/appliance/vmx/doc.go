// Package vmx reads machines of VMware's: Workstation, Player, Fusion, ESX.
//
//	web/
//	├── web.vmx                  key = "value" lines: the hardware
//	├── web.vmsd                 the same for the tree of snapshots
//	├── web.nvram                firmware variables
//	├── web.vmdk                 a disk
//	├── web-000001.vmdk          what was written since a snapshot
//	└── web-Snapshot1.vmsn       the hardware, and the memory (.vmem), at a snapshot
//
// Keys are compared without regard to case, and the last of several counts
// (observed with Workstation 17). A character that cannot stand in a value is
// written as | and two hexadecimal digits. The file says its encoding in the
// key .encoding.
//
// Snapshots share the hardware of the present: that of their time is in the
// .vmsn file, whose form VMware has not described.
package vmx
