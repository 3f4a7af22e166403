package kmod

import "testing"

func TestUnsigned(t *testing.T) {
	info := "\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x03"
	for name, c := range map[string]struct{ content, want string }{
		"signed":                    {"ELFsig" + info + signatureEnd, "ELF"},
		"not signed":                {"ELF", "ELF"},
		"a length that is too much": {"EL" + info + signatureEnd, "EL" + info + signatureEnd},
		"cut short":                 {"EL" + signatureEnd, "EL" + signatureEnd},
	} {
		if got := string(unsigned([]byte(c.content))); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
