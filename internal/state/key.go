package state

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on what a store accepts. They are the same for every implementation, so
// that what a test with the double accepts the real store accepts too.
const (
	// MaxKeyBytes is the longest key.
	MaxKeyBytes = 1024
	// MaxValueBytes is the largest value of one entry.
	MaxValueBytes = 1 << 20
	// MaxOps is the largest number of ops in one commit.
	MaxOps = 1024
	// MaxCommitBytes is the largest sum of key and value bytes in one commit.
	MaxCommitBytes = 8 << 20
)

// CheckKey returns nil when key can be stored, otherwise an error that is
// ErrInvalid. A key is one or more segments joined by "/", for example
// "machines/web". It is valid UTF-8 of at most MaxKeyBytes bytes without control
// characters, and no segment is empty, "." or "..", so that no key is a
// path trick or ambiguous with a prefix.
func CheckKey(key string) error {
	if err := checkText(key); err != nil {
		return fmt.Errorf("key %q: %w", shorten(key), err)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("key %q: %w: it has a part that is %q: name each part between the slashes",
				shorten(key), ErrInvalid, segment)
		}
	}
	return nil
}

// CheckPrefix returns nil when prefix can be listed and watched, otherwise an
// error that is ErrInvalid. A prefix is empty, which means every key, or a valid
// key followed by "/".
func CheckPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	key, slash := strings.CutSuffix(prefix, "/")
	if !slash {
		return fmt.Errorf("prefix %q: %w: it must end in \"/\", or it would match longer names too",
			shorten(prefix), ErrInvalid)
	}
	return CheckKey(key)
}

func checkText(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: it is empty", ErrInvalid)
	case len(key) > MaxKeyBytes:
		return fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrInvalid, len(key), MaxKeyBytes)
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: it is not UTF-8", ErrInvalid)
	case strings.ContainsFunc(key, unicode.IsControl):
		return fmt.Errorf("%w: it contains a control character", ErrInvalid)
	}
	return nil
}

// shorten keeps a hostile key from filling the log.
func shorten(key string) string {
	const most = 80
	if len(key) <= most {
		return key
	}
	return key[:most] + "…"
}
