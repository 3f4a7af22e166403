package appliance

import "testing"

func TestWindowsIsKnownByItsNames(t *testing.T) {
	for name, windows := range map[string]bool{
		"windows2019srv-64": true, "winNetStandard": true, "Windows11_64": true, "Microsoft Windows Server 2022 (64-bit)": true,
		"http://microsoft.com/win/10": true, "debian10_64Guest": false, "Darwin": false, "http://fedoraproject.org/fedora/29": false, "": false,
	} {
		b := NewBuilder("m")
		b.System(name)
		if s := b.Spec(); (s.OS == "windows") != windows || s.Labels["os"] != name || name == "" && s.Labels != nil {
			t.Errorf("%q: os %q, labels %v", name, s.OS, s.Labels)
		}
	}
}
