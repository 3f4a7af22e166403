// Package envelope says what the machines of an OVF descriptor are in Panal's
// words.
//
//	ovf.Envelope
//	  ├── DeploymentOptionSection ─ one is chosen; items of others are not there
//	  ├── DiskSection, References ─ the content of drives
//	  └── VirtualSystem…
//	        ├── ProductSection    ─ properties, which the user may set
//	        ├── EulaSection       ─ licences
//	        ├── VirtualHardware   ─ the first whose family can be built
//	        └── vbox:Machine      ─ what VirtualBox says nowhere else
//
// What programs do beyond the standard, as seen in their files:
//
//   - An IDE controller is a channel, with two devices; VMware and VirtualBox
//     describe two controllers for what is one.
//   - SATA controllers are "other storage devices" (type 20) of the subtype AHCI
//     or vmware.sata.ahci.
//   - Firmware is vmw:Config firmware in VMware's, vbox:Machine in VirtualBox's.
//   - oVirt's disks are found by the second half of a HostResource "group/image".
//   - ResourceSubType lists alternatives, separated by commas or spaces; VMware
//     adds some that only it knows.
package envelope
