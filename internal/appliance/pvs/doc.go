// Package pvs reads machines of Parallels Desktop.
//
//	web.pvm/
//	├── config.pvs            XML: <ParallelsVirtualMachine>, the hardware
//	├── Snapshots.xml         the tree of snapshots
//	├── web.hdd/              a disk: a bundle with DiskDescriptor.xml, which holds its states
//	└── Snapshots/{…}.pvs     the hardware at a snapshot
//
// The file is not described by its makers. Elements and numbers (InterfaceType,
// EmulatedType, AdapterType) are those of the XML model that is published with
// OpenVZ (libprlxmlmodel, PrlEnums.h). No real file was at hand to compare with.
//
// A snapshot's GUID is that of the state of every disk which it keeps.
package pvs
