package machine

import "github.com/panalvm/panal/api"

// Unsavable says why the state of a running machine cannot be written, and with it
// neither the machine saved nor its memory kept in a snapshot; empty if it can.
func Unsavable(spec api.Spec) string {
	for _, controller := range spec.Controllers {
		if controller.Type == api.NVMe {
			return "QEMU does not tell the state of the NVMe controller " + controller.Name
		}
	}
	return ""
}
