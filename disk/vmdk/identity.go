package vmdk

import (
	"encoding/hex"
	"strings"
)

// identity is the state of an image's CID.
type identity struct{}

// plainUUID brings a UUID into the form 8-4-4-4-12. VMware writes 16 bytes with
// blanks between, and one hyphen.
func plainUUID(text string) (string, bool) {
	digits := strings.NewReplacer(" ", "", "-", "", "{", "", "}", "").Replace(strings.ToLower(text))
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) != 16 {
		return "", false
	}
	return digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:], true
}
