package ovf

import (
	"io"
	"strings"
)

// Localizer chooses texts in a language.
type Localizer struct{ bundles []map[string]string }

// Localizer makes one for a language, as "de-DE" or "de": texts of exactly that
// language come first, then those of the same language elsewhere, then what
// stands in the descriptor itself.
func (e *Envelope) Localizer(lang string) Localizer {
	var l Localizer
	for _, fit := range []func(have, want string) bool{strings.EqualFold, sameLanguage} {
		for _, s := range e.Strings {
			if lang != "" && fit(s.Lang, lang) {
				l.bundles = append(l.bundles, s.byID())
			}
		}
	}
	return l
}

// Text is a text in the language of the localizer.
func (l Localizer) Text(t Text) string {
	if t.MsgID != "" {
		for _, bundle := range l.bundles {
			if value, ok := bundle[t.MsgID]; ok {
				return value
			}
		}
	}
	return t.Value
}

func sameLanguage(have, want string) bool {
	a, _, _ := strings.Cut(have, "-")
	b, _, _ := strings.Cut(want, "-")
	return strings.EqualFold(a, b)
}

func (s Strings) byID() map[string]string {
	values := map[string]string{}
	for _, m := range s.Messages {
		values[m.MsgID] = m.Value
	}
	return values
}

// Languages lists the languages of the texts, the descriptor's own first.
func (e *Envelope) Languages() []string {
	own := e.Lang
	if own == "" {
		own = "en-US" // the schema's default
	}
	all := []string{own}
	seen := map[string]bool{own: true}
	for _, s := range e.Strings {
		if !seen[s.Lang] {
			seen[s.Lang] = true
			all = append(all, s.Lang)
		}
	}
	return all
}

// ParseStrings reads a file of texts that Strings.FileRef leads to (DSP0243 1.1,
// 10.1): an element Strings by itself. Add it to Envelope.Strings to use it.
func ParseStrings(r io.Reader) (Strings, error) {
	var s Strings
	t, err := readTree(r, "strings")
	if err != nil {
		return s, err
	}
	root := t.root
	if root.Name.Local != "Strings" {
		return s, malformed("strings", 0, 0, "the document is a <%.40s>, not <Strings>", root.Name.Local)
	}
	inNamespace(root, NSEnvelope2)
	(&decoder{plans: plans{}}).fill(*root, &s)
	return s, nil
}
