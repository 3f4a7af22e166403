// Package hyperv reads machines that Hyper-V exported.
//
//	web/
//	├── Virtual Machines/GUID.vmcx      the hardware: a store of keys and values, since 2016;
//	│                    GUID.xml       the same tree as XML, until 2012 R2
//	├── Virtual Hard Disks/*.vhdx       disks; *.avhdx are differences that checkpoints made
//	└── Snapshots/GUID.vmcx, GUID.xml   the hardware at each checkpoint
//
// Both forms hold one tree:
//
//	configuration
//	├── properties        name, notes, subtype (0: generation 1, 1: generation 2), parent_id
//	├── settings          processors/count, memory/bank/size in MiB
//	├── manifest          vdev…: the kind of each device (device) and where its settings are (instance)
//	└── _GUID_            settings of a device: controllerN/driveN/pathname, MacAddress, …
//
// Its makers describe neither. The names are those that Microsoft's own import
// scripts and other readers of exports look for, the kinds of devices are the
// GUIDs of Hyper-V's WMI interface; what the container is made of is in
// storage.go. Files named by absolute Windows paths are looked for by name in
// the export.
package hyperv
