// Package ovf reads, checks and writes descriptors of the Open Virtualization
// Format, and what lies beside them in a package: manifest, certificate,
// encrypted files. Archives of them are read and written by
// [github.com/panalvm/panal/ovf/ova].
//
//	env, err := ovf.Parse(file)
//	…
//	for _, finding := range ovf.Check(env) { … }
//	env, err = env.Choose("small")                      // a deployment configuration
//	for _, machine := range env.Systems() {
//		hardware := ovf.First[*ovf.VirtualHardwareSection](machine.Sections)
//		for _, item := range hardware.Items { … }
//	}
//
// # What a package is
//
//	web.ovf       the descriptor, an Envelope: XML
//	web.mf        the manifest: a digest of each other file
//	web.cert      the certificate: a signature of the manifest
//	disk1.vmdk …  files that the descriptor refers to
//
// # What an envelope is
//
//	Envelope
//	├ References             Files: name, size, compression, chunks
//	├ DiskSection            Disks: capacity, the File that holds the content, a parent
//	├ NetworkSection         Networks
//	├ DeploymentOptionSection, …
//	├ VirtualSystem          a machine, or a VirtualSystemCollection of machines
//	│ ├ VirtualHardwareSection   Items: processors, memory, controllers, drives, adapters
//	│ ├ OperatingSystemSection, ProductSection, EulaSection, …
//	└ Strings                texts in other languages
//
// An item refers to a disk by its HostResource, to its controller by Parent, to
// a network by Connection.
//
// # Dialects
//
// Programs write OVF each in its own way, and this package reads them all into
// one model. Names and places of OVF 0.9 (Section xsi:type, Content) become
// those of later versions. Elements and attributes that are in no namespace
// are taken as OVF's, as oVirt leaves them. What the model has no field for is
// kept as it is in Attrs and Extra, unknown sections as [UnknownSection];
// [Write] gives all of it back. vendor.go has names for the commonest of it.
//
// Values stay the text that they were: "512" in "byte * 2^20". Methods as
// [Item.Bytes] and [Disk.Bytes] say what they mean.
//
// # Untrusted descriptors
//
// A descriptor may be made to do harm. Parsing one never panics; its length,
// depth, elements, attributes and namespaces are bounded; document type
// declarations, and with them entities, are refused. No file is opened: names
// in a descriptor are for the caller to judge.
//
// # Sources
//
// Sections named in comments are those of DSP0243 1.1.0 (2010-01-12) unless
// they say 2.1; docs/format/ovf.md of the project says what real programs
// do differently.
package ovf
