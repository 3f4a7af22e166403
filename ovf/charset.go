package ovf

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// readAll reads a document that may have so many bytes.
func readAll(r io.Reader, document string, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, fmt.Errorf("reading the %s: %w", document, err)
	}
	if int64(len(text)) > most {
		return nil, malformed(document, 0, 0, "it is longer than %d bytes, the most that is read", most)
	}
	return text, nil
}

// toUTF8 takes the byte order mark off, and makes UTF-8 of UTF-16.
func toUTF8(text []byte, document string) ([]byte, error) {
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return text[3:], nil
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("<\x00")):
		return fromUTF16(text, document, func(a, b byte) uint16 { return uint16(b)<<8 | uint16(a) })
	case bytes.HasPrefix(text, []byte("\xfe\xff")), bytes.HasPrefix(text, []byte("\x00<")):
		return fromUTF16(text, document, func(a, b byte) uint16 { return uint16(a)<<8 | uint16(b) })
	}
	return text, nil
}

func fromUTF16(text []byte, document string, unit func(a, b byte) uint16) ([]byte, error) {
	if len(text)%2 != 0 {
		return nil, malformed(document, 0, 0, "it is UTF-16 of an odd number of bytes: it is cut short")
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i += 2 {
		r := rune(unit(text[i], text[i+1]))
		if utf16.IsSurrogate(r) && i+3 < len(text) {
			if pair := utf16.DecodeRune(r, rune(unit(text[i+2], text[i+3]))); pair != utf8.RuneError {
				r, i = pair, i+2
			}
		}
		if i > 1 || r != 0xfeff {
			out = utf8.AppendRune(out, r)
		}
	}
	return out, nil
}

// charsetReader reads the encodings that a document may name.
func charsetReader(label string, input io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "utf-8", "utf8", "us-ascii", "ascii", "utf-16", "utf-16le", "utf-16be", "ucs-2", "unicode":
		return input, nil // toUTF8 was here before
	case "iso-8859-1", "latin1", "latin-1", "windows-1252", "cp1252":
		text, err := io.ReadAll(input)
		out := make([]byte, 0, len(text)+len(text)/8)
		for _, b := range text {
			out = utf8.AppendRune(out, fromWindows(b))
		}
		return bytes.NewReader(out), err
	}
	return nil, fmt.Errorf("its encoding is %q; write it in UTF-8", label)
}

// fromWindows reads a byte of windows-1252, which is ISO 8859-1 with more
// characters where that has controls. Documents often name the wrong one.
func fromWindows(b byte) rune {
	if b < 0x80 || b > 0x9f {
		return rune(b)
	}
	return []rune("€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ")[b-0x80]
}
