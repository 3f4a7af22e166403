package snapshot

import (
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
)

// Sources are the images outside of a machine's folder that what a snapshot with
// this spec holds stands on.
func Sources(spec api.Spec) []string {
	var sources []string
	for _, drive := range spec.Drives {
		if !machine.InSnapshots(drive) {
			continue
		}
		if drive.Source != "" && drive.Mode != api.Own {
			sources = append(sources, drive.Source)
		}
		for _, under := range drive.Under {
			sources = append(sources, under.Source)
		}
	}
	slices.Sort(sources)
	return slices.Compact(sources)
}

// Restored is the spec of a machine that is restored: the hardware of the
// snapshot, and what people say of the machine and want of the daemon as it is now.
// A drive that takes no part in snapshots, now or then, stays what it is now, with the content that it has, where the
// machine still has it: what it holds is in no snapshot, and would be lost, or is held by another one that it must not
// write.
func Restored(now, held api.Spec) api.Spec {
	spec := machine.Clone(held)
	spec.Name, spec.UUID, spec.Description, spec.Labels = now.Name, now.UUID, now.Description, machine.Clone(now).Labels
	spec.Autostart, spec.Restart, spec.Template, spec.Snapshots = now.Autostart, now.Restart, now.Template, now.Snapshots
	for i := range spec.Drives {
		drive := &spec.Drives[i]
		at := slices.IndexFunc(now.Drives, func(d api.Drive) bool { return d.Name == drive.Name })
		if at >= 0 { // it was not meant for then, but for starts from now on
			drive.PassphraseFile, drive.KeyCommand = now.Drives[at].PassphraseFile, now.Drives[at].KeyCommand
		}
		if at < 0 || machine.InSnapshots(*drive) && machine.InSnapshots(now.Drives[at]) || now.Drives[at].Kind != drive.Kind {
			continue
		}
		is := now.Drives[at]
		drive.Mode, drive.WriteMode, drive.AutoReset, drive.Source, drive.Format = is.Mode, is.WriteMode, is.AutoReset, is.Source, is.Format
		drive.Snapshot, drive.Size, drive.File, drive.Under = is.Snapshot, is.Size, is.File, is.Under
		drive.Encrypted = is.Encrypted
	}
	return spec
}
