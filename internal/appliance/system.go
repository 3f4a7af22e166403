package appliance

import "strings"

// System says what runs in the machine, by the name that the other program has for it:
// adapting goes by that name, and what Windows cannot do is not asked of it.
func (b *Builder) System(name string) {
	name = CleanLabel(name)
	if name == "" {
		return
	}
	b.m.Spec.Labels = map[string]string{"os": name}
	if IsWindows(name) {
		b.m.Spec.OS = "windows"
	}
}

// IsWindows tells whether a program's name for a system is one of Windows: "windows2019srv-64",
// "Windows10_64", "Microsoft Windows Server 2022 (64-bit)", "http://microsoft.com/win/11".
func IsWindows(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "win") || strings.Contains(name, "microsoft windows") || strings.Contains(name, "microsoft.com/win")
}
