package ovf

import "strings"

// Namespaces.
const (
	// NSEnvelope is the namespace of OVF 1 (DSP0243 1.1, table 1), and in this
	// package that of the document itself, whatever its version.
	NSEnvelope = "http://schemas.dmtf.org/ovf/envelope/1"
	// NSEnvelope2 is the namespace of OVF 2 (DSP0243 2.1, table 1).
	NSEnvelope2 = "http://schemas.dmtf.org/ovf/envelope/2"
	// NSEnvironment is that of the OVF environment (DSP8027).
	NSEnvironment = "http://schemas.dmtf.org/ovf/environment/1"
	// NSVMware is that of VMware's extensions.
	NSVMware = "http://www.vmware.com/schema/ovf"
	// NSVirtualBox is that of VirtualBox's extensions.
	NSVirtualBox = "http://www.virtualbox.org/ovf/machine"
	// NSXenServer is that of XenCenter's and XenConvert's extensions.
	NSXenServer = "http://schemas.citrix.com/ovf/envelope/1"
	// NSPanal is that of what Panal says of a machine.
	NSPanal = "http://www.panalvm.org/ovf/machine"
	// NSXML is that of the prefix xml, as in xml:lang.
	NSXML = "http://www.w3.org/XML/1998/namespace"
	// NSInstance is that of the prefix xsi.
	NSInstance = "http://www.w3.org/2001/XMLSchema-instance"

	nsEnvelope09    = "http://www.vmware.com/schema/ovf/1/envelope"
	nsEnvelopeDraft = "http://schemas.dmtf.org/ovf/envelope"
	nsCIM           = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_"
	nsResource      = nsCIM + "ResourceAllocationSettingData"
	nsSystem        = nsCIM + "VirtualSystemSettingData"
	nsStorage       = nsCIM + "StorageAllocationSettingData"
	nsPort          = nsCIM + "EthernetPortAllocationSettingData"
	nsBoot          = nsCIM + "BootConfigSetting"
	nsBootSource    = nsCIM + "BootSourceSetting"
	nsEncrypt       = "http://www.w3.org/2001/04/xmlenc#"
	nsEncrypt11     = "http://www.w3.org/2009/xmlenc11#"
	nsSignature     = "http://www.w3.org/2000/09/xmldsig#"
)

// usualPrefix is what people and programs call a namespace.
func usualPrefix(space string) string {
	switch space {
	case NSEnvelope:
		return "ovf"
	case NSEnvelope2:
		return "ovf2"
	case NSVMware:
		return "vmw"
	case NSVirtualBox:
		return "vbox"
	case NSXenServer:
		return "xenovf"
	case NSPanal:
		return "panal"
	case NSXML:
		return "xml"
	case NSInstance:
		return "xsi"
	case NSEnvironment:
		return "oe"
	case nsResource:
		return "rasd"
	case nsSystem:
		return "vssd"
	case nsStorage:
		return "sasd"
	case nsPort:
		return "epasd"
	case nsBoot:
		return "bootc"
	case nsBootSource:
		return "boots"
	case nsEncrypt:
		return "xenc"
	case nsEncrypt11:
		return "xenc11"
	case nsSignature:
		return "ds"
	}
	return ""
}

// usualSpace is what a prefix that a document forgot to declare stands for.
func usualSpace(prefix string) string {
	for _, space := range []string{NSEnvelope, NSVMware, NSVirtualBox, NSInstance, nsResource, nsSystem, nsStorage, nsPort} {
		if usualPrefix(space) == prefix {
			return space
		}
	}
	return prefix
}

// isEnvelope tells whether a namespace is that of some version of OVF. oVirt
// writes it with a slash at the end, and elements in no namespace.
func isEnvelope(space string) bool {
	switch strings.TrimSuffix(space, "/") {
	case NSEnvelope, NSEnvelope2, nsEnvelope09, nsEnvelopeDraft, "":
		return true
	}
	return false
}

// isCIM tells whether a namespace is that of a class of CIM. DSP0243 2.x
// writes them with ".xsd" at the end in its table, and without in its schema;
// early drafts left the path out.
func isCIM(space string) bool {
	return strings.HasPrefix(space, "http://schemas.dmtf.org/") && (strings.Contains(space, "/CIM_") || strings.Contains(space, "/cim"))
}
