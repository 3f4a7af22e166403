package appliance

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestKeysFitPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, key string
		want         bool
	}{
		{"a.b", "a.b", true},
		{"a.b", "a.bc", false},
		{"a*", "a", true},
		{"*a", "bba", true},
		{"*a", "bab", false},
		{"a#.b", "a12.b", true},
		{"a#.b", "a.b", false},
		{"*#:#.x", "scsi0:1.x", true},
		{"a*b*c", "a1b2c", true},
		{"", "", true},
		{"", "a", false},
	} {
		if got := fits(c.pattern, c.key); got != c.want {
			t.Errorf("%q fits %q: %v", c.pattern, c.key, got)
		}
	}
}

func TestNoSettingIsLost(t *testing.T) {
	rules := Rules{{Key: "quiet*", Nothing: "it is quiet"}, {Key: "usual", Usual: []string{"1"}, Subject: "usual", Tell: "it was %s"}}
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SampledFrom([]string{"quiet", "quieter", "Usual", "new", "newer"}).Draw(t, "key")
		value := rapid.SampledFrom([]string{"", "1", "2", " 1 "}).Draw(t, "value")
		notes := Tell([]Setting{{key, value}}, rules)
		silent := strings.HasPrefix(key, "quiet") || key == "Usual" && strings.TrimSpace(value) == "1"
		if silent != (len(notes) == 0) {
			t.Errorf("%s=%s: %v", key, value, notes)
		}
	})
}

func TestWhatIsToldIsBounded(t *testing.T) {
	var settings []Setting
	for i := range 100000 {
		settings = append(settings, Setting{strings.Repeat("k", i%300) + strings.Repeat("x", i/300), strings.Repeat("v", i%1000)})
	}
	length := 0
	notes := Tell(settings, Rules{{Key: "kk*", Subject: "k", Tell: "%s"}})
	for _, n := range notes {
		length += len(n.Text)
	}
	if length > 8<<10 || len(notes) > maxOfRule+2 {
		t.Errorf("%d notes of %d bytes", len(notes), length)
	}
	if !strings.Contains(notes[len(notes)-1].Text, "more") {
		t.Errorf("the rest is not told: %.80s", notes[len(notes)-1].Text)
	}
}

func TestWhatAReaderDoesNotLookAt(t *testing.T) {
	type inner struct {
		A string `xml:"a,attr"`
	}
	type shape struct {
		inner
		Name  string   `xml:"name"`
		Deep  []inner  `xml:"x>y"`
		Other *inner   `xml:"other"`
		Flags []string `xml:"flags>flag"`
	}
	found, err := Unread([]byte(`<r xmlns="urn:x" a="1" b="2"><name c="3">n</name><x d="4"><y a="5" e="6"/><z/></x><other><deep>7</deep></other><flags><flag>8</flag></flags><off><q>9</q></off>t</r>`),
		shape{}, func(path string, _ *Node) bool { return path == "off" })
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, s := range found {
		keys = append(keys, s.Key+"="+s.Value)
	}
	if got := strings.Join(keys, " "); got != "@b=2 =t name@c=3 x@d=4 x/y@e=6 x/z= other/deep=7" {
		t.Errorf("%s", got)
	}
}
