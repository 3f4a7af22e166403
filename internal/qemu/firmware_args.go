package qemu

import "github.com/panalvm/panal/api"

// The names of the firmware's block nodes.
const (
	codeNode = "panal-code"
	varsNode = "panal-vars"
)

// usesFlash says whether the firmware is in flash memory.
func (b *builder) usesFlash() bool { return b.Spec.Firmware.Type == api.UEFI }

// firmware appends the flash memory with the firmware's code, which is shared
// and never written, and its variables, which are the machine's own.
func (b *builder) firmware() {
	if !b.usesFlash() {
		return
	}
	f := b.Firmware
	if f.Code == "" || f.Vars == "" {
		b.unsupported("firmware.type", "no UEFI firmware was found for this machine", "")
		return
	}
	if b.Spec.Firmware.SecureBoot && !f.SecureBoot {
		b.unsupported("firmware.secureBoot", "the firmware "+f.Code+" cannot do secure boot", "")
	}
	b.image(codeNode, Image{Path: f.Code, Format: f.CodeFormat, ReadOnly: true}, "", api.Drive{})
	b.image(varsNode, Image{Path: f.Vars, Format: f.VarsFormat}, "", api.Drive{})
	if f.SMM && b.isX86() {
		// Only the firmware itself, in system management mode, may write its variables.
		b.add("-global", "driver=cfi.pflash01,property=secure,value=on")
		// The firmware's code that wakes from S3 would be a way around that.
		b.add("-global", "ICH9-LPC.disable_s3=1")
	}
}
