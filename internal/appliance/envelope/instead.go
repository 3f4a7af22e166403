package envelope

import (
	"cmp"
	"fmt"

	"github.com/panalvm/panal/api"
)

// controllersFor and adaptersFor are what programs are told instead of what a machine has, where they refuse
// a package with that: VirtualBox knows AHCI, VirtIO SCSI and NVMe of "other storage
// devices", and disks only on controllers of storage; VMware has nothing of VirtIO, nor
// Realtek's adapter. AHCI is what most guests have a driver for.
var (
	controllersFor = map[Dialect]map[api.ControllerType]api.ControllerType{
		ForVirtualBox: {api.VirtioBlk: api.SATA, api.USB: api.SATA, api.MegaRAID: api.LSISAS},
		ForVMware:     {api.VirtioBlk: api.SATA, api.USB: api.SATA, api.VirtioSCSI: api.SATA, api.MegaRAID: api.LSISAS},
	}
	adaptersFor = map[Dialect]map[api.AdapterModel]api.AdapterModel{
		ForVMware: {api.AdapterVirtio: api.AdapterVMXNet3, api.AdapterRTL8139: api.AdapterE1000},
	}
)

func standsFor(d Dialect, kind api.ControllerType) api.ControllerType {
	return cmp.Or(controllersFor[d][kind], kind)
}

func modelFor(d Dialect, model api.AdapterModel) api.AdapterModel {
	return cmp.Or(adaptersFor[d][model], model)
}

// Instead tells what a program is told instead of what a machine has, because it would refuse that. The guest
// needs drivers for it. Panal itself finds in the package what it really was.
func Instead(d Dialect, spec api.Spec) []string {
	var list []string
	for _, c := range spec.Controllers {
		if other := standsFor(d, c.Type); other != c.Type {
			list = append(list, fmt.Sprintf("controller %s: %s does not know %s; it is described as %s, for which the guest needs a driver", c.Name, d, c.Type, other))
		}
	}
	for _, a := range spec.Adapters {
		if other := modelFor(d, a.Model); other != a.Model {
			list = append(list, fmt.Sprintf("adapter %s: %s does not know %s; it is described as %s, for which the guest needs a driver", a.Name, d, a.Model, other))
		}
	}
	return list
}
