package manager

import (
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/adapt"
)

// transportCD is the transport of properties that there is here: a CD.
const transportCD = "iso"

// environmentDrive is the name of the drive that the CD with a guest's
// properties is in.
const environmentDrive = "environment"

// tellGuest gives a machine the CD that tells its guest of its properties,
// where the description asks for it, or the user set one of them. It returns
// what is to be noted.
func (job *importJob) tellGuest(spec *api.Spec, from appliance.Machine) []string {
	e := from.Environment
	if e == nil || len(e.Properties) == 0 && len(e.Entities) == 0 {
		return nil
	}
	asked := slices.ContainsFunc(from.Transports, func(t string) bool { return strings.EqualFold(t, transportCD) })
	others := strings.Join(slices.DeleteFunc(slices.Clone(from.Transports), func(t string) bool { return strings.EqualFold(t, transportCD) }), ", ")
	if !asked && len(job.request.Properties) == 0 {
		if others == "" {
			return []string{"properties: the guest is not told their values, as the description asks for no way to; with --property it gets a CD that does"}
		}
		return []string{"properties: the guest is not told their values: the description asks for " + others + ", which cannot be had; with --property it gets a CD instead"}
	}
	told := *e
	told.Drive = environmentDrive
	spec.Environment = &told
	spec.Drives = append(spec.Drives, api.Drive{Name: environmentDrive, Kind: api.Optical, Mode: api.ReadOnly})
	if !asked && others != "" {
		return []string{"properties: the description asks for " + others + ", which cannot be had; a CD tells the guest instead"}
	}
	return nil
}

// adapt gives a machine other hardware, if the user wants it. It returns what
// was decided of each device.
func (job *importJob) adapt(spec *api.Spec) []string {
	if !job.request.Adapt {
		return nil
	}
	adapted, notes := adapt.Machine(*spec, adapt.Facts{System: spec.Labels["os"]})
	*spec = adapted
	lines := make([]string, 0, len(notes))
	for _, note := range notes {
		lines = append(lines, note.String())
	}
	return lines
}
