// Package xenxml reads the description in an XVA, the file that XenServer and
// XCP-ng export a machine to.
//
//	ova.xml: an XML-RPC value
//	  version   { xapi_major, product_version … }
//	  objects   [ { class: "VM",      id: "Ref:1", snapshot: { name_label, memory_static_max, VBDs, VIFs … } },
//	              { class: "VBD",     …  VM, VDI, userdevice, type, empty },
//	              { class: "VIF",     …  VM, network, device, MAC },
//	              { class: "network", …  name_label },
//	              { class: "VDI",     …  virtual_size, name_label } … ]
//
// Objects refer to each other by their id. Every leaf is a string, numbers and
// booleans too ("1", "true"). What the fields mean is in the XenServer
// Management API's reference; the object list's form was seen in exports of
// XenServer 5.6 to XCP-ng 8.2 and in xapi's ocaml/xapi/export.ml.
//
// Guests that Xen paravirtualized (PV) boot without firmware, by a boot loader that runs on
// the host. They get a BIOS here, and start only if their disk can start by itself.
package xenxml
