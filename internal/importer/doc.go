// Package importer opens what other programs wrote, so that machines can be
// made of it.
//
//	web.ova ─┐                                   ┌─ Appliance: what it describes
//	web.ovf ─┤  Open: by name and by content  ───┼─ Ref, Image: the content of a drive
//	web/    ─┤                                   └─ Verify: manifest and signature
//	disk.vdi ┘
//
// Nothing is unpacked: content is read where it lies, in a folder or in an
// archive. Only what was compressed or cut into parts besides is first put
// together in a file without a name, where the caller says.
//
// A source is not trusted. What its description names is looked for beside it
// and below, in its archive, and nowhere else.
package importer
