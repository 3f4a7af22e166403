package appliance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Setting is something that a description says and that its reader has made no
// hardware of: a key, or the path of an element or attribute, and the value.
type Setting struct{ Key, Value string }

// Rule says what becomes of such settings. What is asked for and cannot be had is
// told; what no rule knows is told as well, so a rule is what it takes for
// something not to be told.
type Rule struct {
	// Key is a pattern, compared without regard to case: * stands for any
	// characters, # for digits.
	Key string
	// Usual are values that ask for nothing but what machines have here anyway,
	// in lower case.
	Usual []string
	// Subject and Tell are the note about other values; "%s" stands for the value.
	Subject, Tell string
	// Nothing is why values mean nothing for a machine here, and need not be told.
	// Such a rule has no Tell.
	Nothing string
}

// Rules are in order: the first whose key fits counts.
type Rules []Rule

// Find finds the rule for a key; nil if there is none.
func (r Rules) Find(key string) *Rule {
	key = strings.ToLower(shorten(key, maxLabel))
	for i := range r {
		if fits(strings.ToLower(r[i].Key), key) {
			return &r[i]
		}
	}
	return nil
}

// fits tells whether a key is what a pattern describes.
func fits(pattern, key string) bool {
	for pattern != "" {
		switch pattern[0] {
		case '*':
			if pattern = strings.TrimLeft(pattern, "*"); pattern == "" {
				return true
			}
			for i := range len(key) + 1 {
				if fits(pattern, key[i:]) {
					return true
				}
			}
			return false
		case '#':
			digits := len(key) - len(strings.TrimLeft(key, "0123456789"))
			if digits == 0 {
				return false
			}
			pattern, key = pattern[1:], key[digits:]
		default:
			if key == "" || key[0] != pattern[0] {
				return false
			}
			pattern, key = pattern[1:], key[1:]
		}
	}
	return key == ""
}

// What is told at most, whatever a description says: bytes of a list of settings, bytes of a
// value, values for one rule, and settings that are looked at.
const (
	maxTold      = 4 << 10
	maxToldValue = 80
	maxOfRule    = 16
	maxSettings  = 1 << 15
)

// Rest tells what settings ask for that the machine does not have.
func (b *Builder) Rest(settings []Setting, rules Rules) {
	for _, n := range Tell(settings, rules) {
		if !slices.Contains(b.m.Notes, n) {
			b.m.Notes = append(b.m.Notes, n)
		}
	}
}

// Tell is the notes about settings: one for each value that a rule tells, and one
// for all that no rule knows, which names their keys alone: values may be secret.
func Tell(settings []Setting, rules Rules) []Note {
	t := teller{rules: rules, seen: map[Note]bool{}, told: map[*Rule]int{}, unknown: map[string]bool{}}
	if len(settings) > maxSettings {
		t.unknown[fmt.Sprintf("%d settings more", len(settings)-maxSettings)] = true
		settings = settings[:maxSettings]
	}
	for _, s := range settings {
		t.tell(s)
	}
	if len(t.unknown) > 0 {
		t.notes = append(t.notes, Notef("other settings", "nothing here follows %s", list(slices.Sorted(maps.Keys(t.unknown)))))
	}
	return t.notes
}

// teller collects notes about settings.
type teller struct {
	rules   Rules
	notes   []Note
	seen    map[Note]bool
	told    map[*Rule]int // how many values
	unknown map[string]bool
}

func (t *teller) tell(s Setting) {
	value := CleanLabel(s.Value)
	rule := t.rules.Find(s.Key)
	if rule == nil {
		t.unknown[shorten(CleanLabel(s.Key), maxLabel)] = true
		return
	}
	if rule.Nothing != "" || slices.Contains(rule.Usual, strings.ToLower(value)) {
		return
	}
	n := Note{Subject: rule.Subject, Text: strings.ReplaceAll(rule.Tell, "%s", shorten(value, maxToldValue))}
	if t.seen[n] || t.told[rule] > maxOfRule {
		return
	}
	if t.told[rule]++; t.told[rule] > maxOfRule {
		n.Text = "and others like it"
	}
	t.seen[n] = true
	t.notes = append(t.notes, n)
}

// list is words as a person writes them, as many as there is room for.
func list(words []string) string {
	room := maxTold
	for i, w := range words {
		if room -= len(w) + 2; room < 0 {
			return fmt.Sprintf("%s and %d more", strings.Join(words[:i], ", "), len(words)-i)
		}
	}
	if n := len(words) - 1; n > 0 {
		return strings.Join(words[:n], ", ") + " and " + words[n]
	}
	return words[0]
}
