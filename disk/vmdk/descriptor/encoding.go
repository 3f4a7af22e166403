package descriptor

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The encoding of a descriptor is named by its setting "encoding": VMware
// Workstation writes UTF-8 or the code page of the host's Windows. Those with one
// byte a letter are known here; what is in another is passed on as it is, which
// is right for ASCII, and on Linux also for files that bear these very bytes.

// windows1252 is what the bytes 80 to 9f stand for (the Encoding Standard,
// index windows-1252); all others stand for themselves.
const windows1252 = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ"

// page is the letters of the bytes from 80 to 9f, nil when bytes are passed on.
func (d *Descriptor) page() []rune {
	i := d.find("encoding")
	if i < 0 {
		return nil
	}
	_, value, _ := strings.Cut(d.lines[i].text, "=")
	switch strings.ToLower(unquote(value)) {
	case "windows-1252", "cp1252":
		return []rune(windows1252)
	case "iso-8859-1", "latin1":
		all := make([]rune, 32)
		for i := range all {
			all[i] = rune(0x80 + i)
		}
		return all
	}
	return nil
}

// decode makes UTF-8 of what stands in the text.
func (d *Descriptor) decode(s string) string {
	if isASCII(s) {
		return s
	}
	page := d.page()
	if page == nil {
		return s
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 0x80 && c < 0xa0 {
			b.WriteRune(page[c-0x80])
		} else {
			b.WriteRune(rune(c))
		}
	}
	return b.String()
}

// encode is the inverse of decode.
func (d *Descriptor) encode(s string) (string, error) {
	if isASCII(s) {
		return s, nil
	}
	page := d.page()
	if page == nil {
		return s, nil
	}
	var b strings.Builder
	for _, r := range s {
		c, ok := byteFor(page, r)
		if !ok {
			return "", fmt.Errorf("%q cannot be written in the descriptor's encoding %q", s, d.Text("encoding"))
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

func byteFor(page []rune, r rune) (byte, bool) {
	for i, p := range page {
		if p == r {
			return byte(0x80 + i), true
		}
	}
	return byte(r), r < 0x80 || r >= 0xa0 && r <= 0xff
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
