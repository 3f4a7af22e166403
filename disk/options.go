package disk

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// choose checks options against what a format has for a variant, and adds
// the defaults.
func choose(f *Format, variant string, given map[string]string) (map[string]string, error) {
	chosen := map[string]string{}
	known := []string{}
	for _, o := range f.Options {
		if o.Variants == nil || slices.Contains(o.Variants, variant) {
			known = append(known, o.Name)
			if o.Default != "" {
				chosen[o.Name] = o.Default
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		i := slices.IndexFunc(f.Options, func(o Option) bool { return o.called(name) })
		if i < 0 || !slices.Contains(known, f.Options[i].Name) {
			return nil, noOption(f, variant, name, known)
		}
		if other := twice(f.Options[i], name, given); other != "" {
			return nil, Usage("options %s and %s mean the same; give one of them", name, other)
		}
		value, err := f.Options[i].normalise(given[name])
		if err != nil {
			return nil, err
		}
		chosen[f.Options[i].Name] = value
	}
	return chosen, nil
}

// called tells whether an option is meant by a name: qemu-img's cluster_size
// is clusterSize.
func (o Option) called(name string) bool {
	return sameName(o.Name, name) || slices.ContainsFunc(o.Aliases, func(a string) bool { return sameName(a, name) })
}

func sameName(a, b string) bool {
	return strings.EqualFold(strings.ReplaceAll(a, "_", ""), strings.ReplaceAll(b, "_", ""))
}

// twice is another name by which the same option was given, "" if none was.
func twice(o Option, name string, given map[string]string) string {
	for other := range given {
		if other != name && o.called(other) {
			return other
		}
	}
	return ""
}

// optionVariant is how qemu-img chooses the variant.
const optionVariant = "subformat"

// variantOf is the variant that was asked for, by the format's name or by an
// option as qemu-img has it, and the options without that.
func variantOf(f *Format, named string, given map[string]string) (Variant, map[string]string, error) {
	variant, err := f.Variant(named)
	if err != nil {
		return variant, nil, err
	}
	for name, value := range given {
		if !sameName(name, optionVariant) {
			continue
		}
		asked, err := f.Variant(value)
		if err == nil && named != "" && asked.Name != variant.Name {
			err = Usage("option %s asks for %s, and %s was named; give one of them", name, whole(f.Name, asked.Name), whole(f.Name, variant.Name))
		}
		given = maps.Clone(given)
		delete(given, name)
		return asked, given, err
	}
	return variant, given, nil
}

// elsewhere is where to say what qemu-img takes as an option and no format here does.
var elsewhere = map[string]string{
	"backingfile": "name the parent apart, with --parent; a conversion takes in what the parents hold",
	"backingfmt":  "name the parent's format apart, with --parent-format",
	"size":        "give the size apart, with --size",
	"encryption":  "images are not encrypted here; encrypt the disk within the guest, or the file system below the image",
	"static":      "choose the variant fixed, behind the format's name and a colon",
	"nocow":       "chattr +C on the directory does that",
}

// noOption says that a format does not have an option, and what to do instead.
func noOption(f *Format, variant, name string, known []string) error {
	key := strings.ToLower(strings.ReplaceAll(name, "_", ""))
	if strings.HasPrefix(key, "encrypt") {
		key = "encryption"
	}
	if instead, ok := elsewhere[key]; ok {
		return Usage("%s has no option %q: %s", whole(f.Name, variant), name, instead)
	}
	return Usage("%s has no option %q; it has %s", whole(f.Name, variant), name, orNone(known))
}

func whole(format, variant string) string {
	if variant == "" {
		return format
	}
	return format + ":" + variant
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// normalise checks a value and writes it in the one way that formats read.
func (o Option) normalise(value string) (string, error) {
	switch o.Kind {
	case Bytes, Number:
		n, err := ParseSize(value)
		if err != nil {
			return "", Usage("option %s: %v", o.Name, err)
		}
		if (o.Min != 0 || o.Max != 0) && (n < o.Min || n > o.Max) {
			return "", Usage("option %s is %s; it must be from %d to %d", o.Name, value, o.Min, o.Max)
		}
		return strconv.FormatInt(n, 10), nil
	case Switch:
		switch strings.ToLower(value) {
		case "on", "true", "yes", "1":
			return "on", nil
		case "off", "false", "no", "0":
			return "off", nil
		}
		return "", Usage("option %s is %q; it must be on or off", o.Name, value)
	case Choice:
		for _, c := range o.Choices {
			if strings.EqualFold(c, value) {
				return c, nil
			}
		}
		return "", Usage("option %s is %q; it must be one of %s", o.Name, value, strings.Join(o.Choices, ", "))
	case Text:
	}
	return value, nil
}

// ParseSize reads a number of bytes: digits, and maybe a binary unit: "512",
// "64K", "20G", "1.5TiB".
func ParseSize(text string) (int64, error) {
	number := strings.TrimRight(strings.ToUpper(strings.TrimSpace(text)), "IB")
	unit := 0
	if i := strings.IndexAny(number, "KMGTPE"); i >= 0 && i == len(number)-1 {
		unit = strings.IndexByte("KMGTPE", number[i]) + 1
		number = number[:i]
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n >= 0 && n <= math.MaxInt64>>(10*unit) {
		return n << (10 * unit), nil
	}
	v, err := strconv.ParseFloat(number, 64)
	v *= float64(int64(1) << (10 * unit))
	if err != nil || unit == 0 || !(v >= 0 && v < math.MaxInt64) || strings.ContainsAny(number, "EXPN_") {
		return 0, Usage("%q is not a size; write it like 512, 64K or 20G", text)
	}
	return int64(v), nil
}
