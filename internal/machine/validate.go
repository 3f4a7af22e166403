package machine

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/panalvm/panal/api"
)

// The limits of a spec.
const (
	maxName        = 63       // characters
	maxElementName = 20       // characters; QEMU's node names, made of these, have 31
	maxDescription = 16 << 10 // bytes
	maxLabels      = 64       // in number
	maxLabelName   = 63       // bytes
	maxLabelValue  = 255      // bytes
	maxPath        = 4095     // bytes, Linux's PATH_MAX without its closing zero
	maxCommandLine = 2047     // bytes, what every kernel of the three architectures takes
	MaxSerials     = 4        // what an ISA bus has addresses for
	MaxAdapters    = 8        // each has a fixed place on its board
	maxBytes       = 1 << 62  // of an image
	maxMemory      = 4 * api.TiB
	maxDelay       = 24 * 3600 // seconds
)

// Validate says everything that is wrong with a complete spec, each with the
// path of its field. It returns nil when nothing is. Whatever depends on the
// host, such as whether a file exists, is not its business.
func Validate(spec api.Spec) []api.FieldError {
	c := &checker{spec: spec, board: BoardOf(spec.Architecture, spec.MachineType)}
	c.identity()
	c.platform()
	c.firmware()
	c.cpu()
	c.scheduling()
	c.memory()
	c.elementNames()
	c.controllers()
	c.drives()
	c.adapters()
	c.forwards()
	c.serials()
	c.display()
	c.boot()
	c.kernel()
	c.environment()
	c.policies()
	return c.errors
}

// ValidateName says what is wrong with a machine's name, nil if nothing is.
func ValidateName(name string) []api.FieldError {
	c := &checker{spec: api.Spec{Name: name}}
	c.name()
	return c.errors
}

// checker collects what is wrong.
type checker struct {
	spec   api.Spec
	board  Board
	errors []api.FieldError
}

func (c *checker) add(field, format string, args ...any) {
	c.errors = append(c.errors, api.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

// member adds an error unless value is one of those allowed.
func member[T ~string](c *checker, field string, value T, allowed ...T) bool {
	if slices.Contains(allowed, value) {
		return true
	}
	words := make([]string, len(allowed))
	for i, word := range allowed {
		words[i] = string(word)
	}
	c.add(field, "is %q; it must be one of %s", clip(string(value)), strings.Join(words, ", "))
	return false
}

func (c *checker) within(field string, value, least, most int) bool {
	if value < least || value > most {
		c.add(field, "is %d; it must be %d to %d", value, least, most)
		return false
	}
	return true
}

// clip shortens a value for a message.
func clip(text string) string {
	if len(text) > 40 {
		return strings.ToValidUTF8(text[:40], "") + "…"
	}
	return text
}

func (c *checker) identity() {
	c.name()
	if id, err := uuid.Parse(c.spec.UUID); err != nil || id.String() != c.spec.UUID || id == uuid.Nil {
		c.add("uuid", "%q is not a UUID in lower case, such as 5f8a6bb2-0c3e-4b8e-9d6f-0d9f6f0a7c11", clip(c.spec.UUID))
	}
	if len(c.spec.Description) > maxDescription {
		c.add("description", "has %d bytes; %d are the most", len(c.spec.Description), maxDescription)
	}
	if !isText(c.spec.Description) {
		c.add("description", "holds control characters or broken UTF-8")
	}
	c.labels()
}

func (c *checker) name() {
	name := c.spec.Name
	length := utf8.RuneCountInString(name)
	switch {
	case name == "":
		c.add("name", "is missing")
	case length > maxName:
		c.add("name", "has %d characters; %d are the most", length, maxName)
	case !only(name, unicode.IsLetter, unicode.IsDigit, oneOf(" ._-+()@")):
		c.add("name", "%q holds characters other than letters, digits, space and . _ - + ( ) @", clip(name))
	case strings.ContainsRune("-. ", rune(name[0])):
		c.add("name", "begins with %q; it must begin with a letter, a digit or one of _ + ( ) @", name[:1])
	case strings.HasSuffix(name, " "):
		c.add("name", "ends with a space")
	default:
		if _, err := uuid.Parse(name); err == nil {
			c.add("name", "looks like a UUID, so nobody could tell which of the two is meant")
		}
	}
}

func (c *checker) labels() {
	if len(c.spec.Labels) > maxLabels {
		c.add("labels", "are %d; %d are the most", len(c.spec.Labels), maxLabels)
	}
	for _, name := range slices.Sorted(maps.Keys(c.spec.Labels)) {
		value, field := c.spec.Labels[name], "labels."+clip(name)
		if name == "" || len(name) > maxLabelName || !only(name, isLetter, isDigit, oneOf("._-/")) {
			c.add(field, "has a name that is not 1 to %d of letters, digits and . _ - /", maxLabelName)
		}
		if len(value) > maxLabelValue || !isPrintable(value) {
			c.add(field, "has a value of more than %d bytes, or with control characters", maxLabelValue)
		}
	}
}

func (c *checker) platform() {
	if !member(c, "architecture", c.spec.Architecture, api.X8664, api.AArch64, api.RISCV64) {
		return
	}
	if c.board != BoardOther {
		return
	}
	var boards []string
	for _, board := range BoardsOf(c.spec.Architecture) {
		boards = append(boards, string(board))
	}
	c.add("machineType", "%q is not a machine type for %s that Panal knows; use %s, or a version of it",
		clip(c.spec.MachineType), c.spec.Architecture, strings.Join(boards, " or "))
}

func (c *checker) firmware() {
	f := c.spec.Firmware
	member(c, "firmware.type", f.Type, api.BIOS, api.UEFI)
	if f.SecureBoot && f.Type != api.UEFI {
		c.add("firmware.secureBoot", "needs firmware.type uefi")
	}
	if f.SecureBoot && c.board == BoardPC {
		c.add("firmware.secureBoot", "needs machineType q35: pc cannot protect the firmware's variables")
	}
	if f.SecureBoot && c.spec.Architecture == api.RISCV64 {
		c.add("firmware.secureBoot", "is not to be had on riscv64")
	}
	if f.Type == api.BIOS && c.spec.Architecture == api.AArch64 && c.spec.Kernel == nil {
		c.add("firmware.type", "bios cannot boot a disk on aarch64; use uefi, or boot a kernel directly")
	}
	if c.spec.TPM == nil || !member(c, "tpm.version", c.spec.TPM.Version, "2.0", "1.2") {
		return
	}
	if c.spec.TPM.Version == "1.2" && c.spec.Architecture != api.X8664 {
		c.add("tpm.version", "1.2 is only to be had on x86_64")
	}
}

func (c *checker) cpu() {
	cpu, most := c.spec.CPU, maxCPUs
	if c.board == BoardPC {
		most = 255
	}
	if cpu.Maximum == 0 && (cpu.Count < 1 || cpu.Count > most) {
		c.within("cpu.count", cpu.Count, 1, most) // all else follows from it, and says nothing
		return
	}
	if c.within("cpu.maximum", cpu.Maximum, 1, most) {
		c.within("cpu.count", cpu.Count, 1, cpu.Maximum)
	} else {
		c.within("cpu.count", cpu.Count, 1, most)
	}
	sane := c.within("cpu.sockets", cpu.Sockets, 1, most)
	sane = c.within("cpu.cores", cpu.Cores, 1, most) && sane
	sane = c.within("cpu.threads", cpu.Threads, 1, most) && sane
	if product := cpu.Sockets * cpu.Cores * cpu.Threads; sane && product != cpu.Maximum {
		c.add("cpu", "has %d sockets × %d cores × %d threads = %d CPUs, but cpu.maximum is %d",
			cpu.Sockets, cpu.Cores, cpu.Threads, product, cpu.Maximum)
	}
	if cpu.Model != "" && !isCPUModel(cpu.Model) {
		c.add("cpu.model", "%q is not a model with +flag or -flag after commas, such as max,-avx2", clip(cpu.Model))
	}
}

// isCPUModel says whether text is NAME{,(+|-)FLAG}. QEMU's own syntax has more
// (flag=value), which is not taken: some of it names files.
func isCPUModel(text string) bool {
	name, flags, some := strings.Cut(text, ",")
	if name == "" || len(text) > 1024 || !only(name, isLetter, isDigit, oneOf("._-")) {
		return false
	}
	for some {
		var flag string
		flag, flags, some = strings.Cut(flags, ",")
		if len(flag) < 2 || !strings.ContainsAny(flag[:1], "+-") || !only(flag[1:], isLetter, isDigit, oneOf("._-")) {
			return false
		}
	}
	return true
}

func (c *checker) serials() {
	if len(c.spec.Serials) > MaxSerials {
		c.add("serials", "are %d; %d are the most", len(c.spec.Serials), MaxSerials)
	}
	for i, line := range c.spec.Serials {
		if line.LogSize < 64*api.KiB || line.LogSize > api.GiB {
			c.add(fmt.Sprintf("serials[%d].logSize", i), "is %v; it must be 64K to 1G", line.LogSize)
		}
	}
}

func (c *checker) display() {
	d := c.spec.Display
	member(c, "display.type", d.Type, "vnc", "none")
	member(c, "display.video", d.Video, "std", "virtio", "vmware", "none")
	if d.Type == "vnc" && d.Video == "none" {
		c.add("display.video", "is none, but display.type vnc shows what a graphics adapter draws; use display.type none")
	}
	if d.Video == "vmware" && c.spec.Architecture != api.X8664 {
		c.add("display.video", "vmware is only to be had on x86_64")
	}
	member(c, "rtc.base", c.spec.RTC.Base, "utc", "localtime")
}

func (c *checker) kernel() {
	k := c.spec.Kernel
	if k == nil {
		return
	}
	c.absolute("kernel.image", k.Image)
	if k.Initrd != "" {
		c.absolute("kernel.initrd", k.Initrd)
	}
	if len(k.CommandLine) > maxCommandLine || !isPrintable(k.CommandLine) {
		c.add("kernel.commandLine", "has more than %d bytes, or control characters", maxCommandLine)
	}
}

// absolute adds an error unless the path is absolute, and what it looks like.
func (c *checker) absolute(field, name string) {
	switch {
	case name == "":
		c.add(field, "is missing")
	case len(name) > maxPath || strings.ContainsRune(name, 0):
		c.add(field, "is not a path: it is too long or holds a zero byte")
	case !path.IsAbs(name):
		c.add(field, "%q is not an absolute path", clip(name))
	case path.Clean(name) != name:
		c.add(field, "%q is not a plain path; it means %q", clip(name), clip(path.Clean(name)))
	case !utf8.ValidString(name):
		c.add(field, "is not valid UTF-8")
	}
}

func (c *checker) policies() {
	c.within("autostart.delay", c.spec.Autostart.Delay, 0, maxDelay)
	member(c, "restart.policy", c.spec.Restart.Policy, api.RestartNever, api.RestartOnFailure, api.RestartAlways)
	c.schedule()
	if c.spec.Restart.MaxAttempts < 0 {
		c.add("restart.maxAttempts", "is %d; it must be 0 (no limit) or more", c.spec.Restart.MaxAttempts)
	}
}
