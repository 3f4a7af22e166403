package vmx

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"

	"github.com/panalvm/panal/internal/appliance"
)

// config is the content of a .vmx or .vmsd file, by key in lower case.
type config map[string]string

// readConfig reads a file of keys and values.
func readConfig(files fs.FS, name string) (config, error) {
	data, err := appliance.ReadDescription(files, name)
	if err != nil {
		return nil, err
	}
	return parse(name, data)
}

// parse reads keys and values. Lines that are neither are refused: what is
// no configuration must not become a machine.
func parse(name string, data []byte) (config, error) {
	c := config{}
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	lines.Buffer(nil, appliance.MaxDescription+1)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if !found || key == "" || strings.ContainsAny(key, "\"\x00") {
			return nil, fmt.Errorf("%s: line %d is no key = \"value\": is it a file of VMware's?", name, number)
		}
		c[key] = unescape(unquote(strings.TrimSpace(value)))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, c.decode(name)
}

// unquote takes the quotes off, and what stands behind them.
func unquote(value string) string {
	if !strings.HasPrefix(value, `"`) {
		return value
	}
	value = value[1:]
	if end := strings.LastIndexByte(value, '"'); end >= 0 {
		return value[:end]
	}
	return value
}

// unescape turns |22 into the character of that number.
func unescape(value string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(value, "|")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		if len(after) >= 2 {
			if char, err := strconv.ParseUint(after[:2], 16, 8); err == nil {
				out.WriteByte(byte(char))
				value = after[2:]
				continue
			}
		}
		out.WriteByte('|')
		value = after
	}
}

// decode turns the values into UTF-8.
func (c config) decode(name string) error {
	charset := c[".encoding"]
	if charset == "" || strings.EqualFold(charset, "UTF-8") {
		for key, value := range c {
			c[key] = strings.ToValidUTF8(value, string(utf8.RuneError))
		}
		return nil
	}
	encoding, err := htmlindex.Get(charset)
	if err != nil {
		return fmt.Errorf("%s is in the encoding %q, which is unknown", name, charset)
	}
	for key, value := range c {
		if c[key], err = encoding.NewDecoder().String(value); err != nil {
			return fmt.Errorf("%s: %s is not in the encoding %s: %w", name, key, charset, err)
		}
	}
	return nil
}

// flag tells whether a key is true.
func (c config) flag(key string) bool { return strings.EqualFold(c[strings.ToLower(key)], "true") }

// text is a key's value.
func (c config) text(key string) string { return c[strings.ToLower(key)] }

// number is a key's value, or what it is when it is not there.
func (c config) number(key string, absent int64) (int64, error) {
	value := c.text(key)
	if value == "" {
		return absent, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s is %q, which is no number", key, value)
	}
	return n, nil
}
