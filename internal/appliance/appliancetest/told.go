package appliancetest

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/panalvm/panal/internal/appliance"
)

// odd is a name that no description has and no reader knows.
const odd = "oddThing"

// Told puts an element and an attribute that nobody knows into every element of a
// document, one at a time. Each has to be refused or told, but where the rules say
// why it need not be. key is a path of elements as the rules have it; it returns false for
// one that is told as a whole.
func Told(t *testing.T, document string, rules appliance.Rules, key func(path string) (string, bool), read func(document string) (*appliance.Appliance, error)) {
	t.Helper()
	tried := 0
	for _, place := range places(t, document) {
		for _, changed := range []struct{ path, text string }{
			{place.path + "/" + odd, document[:place.end] + "<" + odd + ">1</" + odd + ">" + document[place.end:]},
			{place.path + "@" + odd, document[:place.end-1] + " " + odd + `="1">` + document[place.end:]},
		} {
			at, wanted := key(changed.path)
			if rule := rules.Find(at); !wanted || rule != nil && rule.Nothing != "" {
				continue
			}
			tried++
			a, err := read(changed.text)
			if err == nil && !mentions(a, odd, rules.Find(at)) {
				t.Errorf("%s was dropped in silence", changed.path)
			}
		}
	}
	if tried == 0 {
		t.Error("nothing was tried")
	}
}

// mentions tells whether a note names a word, or is what a rule tells.
func mentions(a *appliance.Appliance, word string, rule *appliance.Rule) bool {
	notes := a.Notes
	for _, m := range a.Machines {
		notes = append(notes, m.Notes...)
	}
	for _, n := range notes {
		if strings.Contains(strings.ToLower(n.Text), strings.ToLower(word)) || rule != nil && rule.Subject == n.Subject {
			return true
		}
	}
	return false
}

// place is where an element's content begins.
type place struct {
	path string
	end  int
}

func places(t *testing.T, document string) []place {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(document))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var found []place
	var open []string
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			open = append(open, token.Name.Local)
			if end := int(d.InputOffset()); document[end-2] != '/' {
				found = append(found, place{strings.Join(open, "/"), end})
			}
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
}
