package appliance

import (
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
)

// near is what comes nearest to a model of hardware.
type near[T any] struct {
	model T
	why   string // what is different, as the rest of "…: "; empty if it is the same for the guest
}

// controllers are models of controllers as programs and standards name them, in
// lower case without spaces, dashes and underscores.
var controllers = map[string]near[api.ControllerType]{
	"ide": {api.IDE, ""}, "piix3": {api.IDE, ""}, "piix4": {api.IDE, ""}, "ich6": {api.IDE, ""}, "pata": {api.IDE, ""}, "hdc": {api.IDE, ""},
	"sata": {api.SATA, ""}, "ahci": {api.SATA, ""}, "intelahci": {api.SATA, ""}, "vmware.sata.ahci": {api.SATA, ""}, "sataahci": {api.SATA, ""},
	"lsilogic":               {api.LSILogic, "LSI's 53C895A is there instead of the 53C1030, which needs another driver in the guest (Linux: sym53c8xx)"},
	"lsilogicsas":            {api.LSISAS, ""},
	"lsisas1068":             {api.LSISAS, ""},
	"lsisas":                 {api.LSISAS, ""},
	"sas":                    {api.LSISAS, ""},
	"buslogic":               {api.LSILogic, "BusLogic's adapter cannot be had; LSI's 53C895A is there instead, which needs another driver in the guest (Linux: sym53c8xx)"},
	"lsi":                    {api.LSILogic, ""},
	"lsi53c895a":             {api.LSILogic, ""},
	"pvscsi":                 {api.PVSCSI, ""},
	"virtualscsi":            {api.PVSCSI, ""},
	"vmpvscsi":               {api.PVSCSI, ""},
	"virtioscsi":             {api.VirtioSCSI, ""},
	"virtio":                 {api.VirtioBlk, ""},
	"virtioblk":              {api.VirtioBlk, ""},
	"nvme":                   {api.NVMe, ""},
	"vmware.nvme.controller": {api.NVMe, ""},
	"usb":                    {api.USB, ""},
	"floppy":                 {api.Floppy, ""},
	"i82078":                 {api.Floppy, ""},
	"megasas":                {api.MegaRAID, ""},
	"lsisas1078":             {api.MegaRAID, ""},
	"scsi":                   {api.LSILogic, ""},
	"xen":                    {api.IDE, "Xen's own disks cannot be had; guests that have only Xen's driver for disks do not start"},
	"vbd":                    {api.IDE, "Xen's own disks cannot be had; guests that have only Xen's driver for disks do not start"},
	"hypervscsi":             {api.SATA, "Hyper-V's SCSI cannot be had; SATA is there instead, which needs another driver in the guest (Windows and Linux come with it)"},
}

// ControllerModel finds the controller that comes nearest to a model. why says in
// what it differs for the guest, and is empty if it does not. ok is false for a
// model nobody knows.
func ControllerModel(name string) (kind api.ControllerType, why string, ok bool) {
	found, ok := controllers[plainName(name)]
	return found.model, found.why, ok
}

// adapters are models of network adapters.
var adapters = map[string]near[api.AdapterModel]{
	"e1000": {api.AdapterE1000, ""}, "82540em": {api.AdapterE1000, ""}, "82545em": {api.AdapterE1000, ""}, "82543gc": {api.AdapterE1000, ""},
	"e1000e": {api.AdapterE1000E, ""}, "82574l": {api.AdapterE1000E, ""}, "82583v": {api.AdapterE1000E, ""},
	"pcnet": {api.AdapterPCnet, ""}, "pcnet32": {api.AdapterPCnet, ""}, "vlance": {api.AdapterPCnet, ""}, "am79c970a": {api.AdapterPCnet, ""}, "am79c973": {api.AdapterPCnet, ""},
	"flexible": {api.AdapterPCnet, ""},
	"vmxnet3":  {api.AdapterVMXNet3, ""},
	"vmxnet":   {api.AdapterVMXNet3, "vmxnet cannot be had; vmxnet3 is there instead, which needs another driver in the guest"},
	"vmxnet2":  {api.AdapterVMXNet3, "vmxnet 2 cannot be had; vmxnet3 is there instead, which needs another driver in the guest"},
	"virtio":   {api.AdapterVirtio, ""}, "virtionet": {api.AdapterVirtio, ""}, "virtiopci": {api.AdapterVirtio, ""},
	"rtl8139": {api.AdapterRTL8139, ""}, "8139": {api.AdapterRTL8139, ""}, "realtekrtl8139": {api.AdapterRTL8139, ""},
	"xen":       {api.AdapterRTL8139, "Xen's own adapter cannot be had; a Realtek 8139 is there instead, as XenServer has it beside its own"},
	"netfront":  {api.AdapterRTL8139, "Xen's own adapter cannot be had; a Realtek 8139 is there instead, as XenServer has it beside its own"},
	"synthetic": {api.AdapterE1000, "Hyper-V's own adapter cannot be had; Intel's 82540EM is there instead"},
	"legacy":    {api.AdapterPCnet, "the DEC 21140 cannot be had; AMD's PCnet is there instead"},
	"ne2kpci":   {api.AdapterRTL8139, "the NE2000 cannot be had; a Realtek 8139 is there instead"},
	"i82551":    {api.AdapterE1000, "the 82551 cannot be had; Intel's 82540EM is there instead"},
	"i82557b":   {api.AdapterE1000, "the 82557B cannot be had; Intel's 82540EM is there instead"},
	"i82559er":  {api.AdapterE1000, "the 82559ER cannot be had; Intel's 82540EM is there instead"},
}

// AdapterModel finds the network adapter that comes nearest to a model, as
// [ControllerModel] does.
func AdapterModel(name string) (model api.AdapterModel, why string, ok bool) {
	found, ok := adapters[plainName(name)]
	return found.model, found.why, ok
}

// Outdated tells whether a note says that a controller or adapter is there instead of another one, and the machine has
// none of that kind: it got other hardware since.
func (n Note) Outdated(spec api.Spec) bool {
	if !strings.Contains(n.Text, " there instead") {
		return false
	}
	for _, c := range controllers {
		if c.why == n.Text {
			return !slices.ContainsFunc(spec.Controllers, func(is api.Controller) bool { return is.Type == c.model })
		}
	}
	for _, a := range adapters {
		if a.why == n.Text {
			return !slices.ContainsFunc(spec.Adapters, func(is api.Adapter) bool { return is.Model == a.model })
		}
	}
	return false
}

// plainName is a name as the tables above have it.
func plainName(name string) string {
	return strings.NewReplacer(" ", "", "-", "", "_", "").Replace(strings.ToLower(name))
}
