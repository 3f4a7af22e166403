package machine

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// oneOf makes a class of the characters listed.
func oneOf(characters string) func(rune) bool {
	return func(r rune) bool { return strings.ContainsRune(characters, r) }
}

// only says whether each character of text is in one of the classes. Broken
// UTF-8 is in none.
func only(text string, classes ...func(rune) bool) bool {
	if !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		in := false
		for _, class := range classes {
			in = in || class(r)
		}
		if !in {
			return false
		}
	}
	return true
}

// isPrintable says whether text is valid, and has no control characters.
func isPrintable(text string) bool {
	return only(text, func(r rune) bool { return !unicode.IsControl(r) })
}

// isText is isPrintable with line ends and tabs.
func isText(text string) bool {
	return only(text, func(r rune) bool { return !unicode.IsControl(r) }, oneOf("\n\r\t"))
}
