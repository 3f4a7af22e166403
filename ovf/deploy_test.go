package ovf_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/ovf"
)

// deployable has three configurations.
const deployable = `<DeploymentOptionSection><Info>options</Info>
<Configuration ovf:id="small"><Label>Small</Label><Description>s</Description></Configuration>
<Configuration ovf:id="medium" ovf:default="true"><Label>Medium</Label><Description>m</Description></Configuration>
<Configuration ovf:id="large"><Label>Large</Label><Description>l</Description></Configuration></DeploymentOptionSection>`

func item(id, kind, quantity, attrs string) string {
	return `<Item ` + attrs + `><rasd:InstanceID>` + id + `</rasd:InstanceID><rasd:ResourceType>` + kind + `</rasd:ResourceType><rasd:VirtualQuantity>` + quantity + `</rasd:VirtualQuantity></Item>`
}

func TestConfigurations(t *testing.T) {
	env := parse(t, minimal(deployable, `<VirtualHardwareSection><Info>h</Info>`+
		item("1", "3", "2", "")+item("2", "4", "256", "")+item("2", "4", "512", `ovf:configuration="medium large"`)+item("2", "4", "1024", `ovf:configuration="large"`)+
		item("3", "17", "1", `ovf:configuration="small"`)+item("4", "17", "2", `configuration="large"`)+item("1", "3", "8", `ovf:bound="max"`)+
		`</VirtualHardwareSection><ProductSection ovf:class="c"><Info>p</Info><Property ovf:key="size" ovf:type="uint8" ovf:value="1"><Value ovf:value="9" ovf:configuration="large"/></Property>
<Property ovf:key="only" ovf:type="string" ovf:configuration="small" ovf:value="x"/></ProductSection>`))
	if env.DefaultConfiguration() != "medium" || len(env.Configurations()) != 3 {
		t.Errorf("the default is %q", env.DefaultConfiguration())
	}
	for configuration, want := range map[string]string{
		"small": "1:2 2:256 3:1 1:8; c.size=1 c.only=x", "": "1:2 2:512 1:8; c.size=1", "medium": "1:2 2:512 1:8; c.size=1", "large": "1:2 2:1024 4:2 1:8; c.size=9",
	} {
		chosen, err := env.Choose(configuration)
		if err != nil {
			t.Fatal(err)
		}
		if have := described(chosen); have != want {
			t.Errorf("%q has %s; it should have %s", configuration, have, want)
		}
	}
	if n := len(ovf.First[*ovf.VirtualHardwareSection](env.Systems()[0].Sections).Items); n != 7 {
		t.Errorf("the original has %d items now", n)
	}
	if _, err := env.Choose("huge"); err == nil || !strings.Contains(err.Error(), "small, medium, large") {
		t.Error(err)
	}
	if _, err := parse(t, minimal("", "")).Choose("huge"); err == nil {
		t.Error("there is a configuration where there are none")
	}
	if have := env.Defaults()["c.size"]; have != "1" {
		t.Errorf("the default of c.size is %q", have)
	}
}

func described(env *ovf.Envelope) string {
	var items, properties []string
	sections := env.Systems()[0].Sections
	for _, i := range ovf.First[*ovf.VirtualHardwareSection](sections).Items {
		items = append(items, i.InstanceID+":"+i.VirtualQuantity)
	}
	product := ovf.First[*ovf.ProductSection](sections)
	for _, p := range product.Properties {
		properties = append(properties, product.FullKey(p)+"="+p.Default)
	}
	return strings.Join(items, " ") + "; " + strings.Join(properties, " ")
}

func TestRanges(t *testing.T) {
	ranges := ovf.Ranges([]ovf.Item{
		{InstanceID: "1", VirtualQuantity: "4"},
		{InstanceID: "1", VirtualQuantity: "1", Bound: "min"},
		{InstanceID: "1", VirtualQuantity: "8", Bound: "max"},
		{InstanceID: "2"},
		{ResourceType: ovf.Memory, VirtualQuantity: "64", Bound: "min"},
		{ResourceType: ovf.Memory, VirtualQuantity: "128"},
		{ResourceType: ovf.DiskDrive},
		{ResourceType: ovf.DiskDrive},
	})
	if len(ranges) != 5 {
		t.Fatalf("there are %d: %+v", len(ranges), ranges)
	}
	if r := ranges[0]; r.VirtualQuantity != "4" || r.Min.VirtualQuantity != "1" || r.Max.VirtualQuantity != "8" {
		t.Errorf("the first is %+v", r)
	}
	if r := ranges[2]; r.VirtualQuantity != "128" || r.Min.VirtualQuantity != "64" || r.Max != nil {
		t.Errorf("the third is %+v", r)
	}
}

func TestStartOrder(t *testing.T) {
	machine := func(id string) string {
		return `<VirtualSystem ovf:id="` + id + `"><Info>i</Info></VirtualSystem>`
	}
	env := parse(t, strings.Replace(minimal("", ""), `<VirtualSystem ovf:id="vm"><Info>a machine</Info></VirtualSystem>`, `<VirtualSystemCollection ovf:id="all"><Info>i</Info>
<StartupSection><Info>s</Info><Item ovf:id="db" ovf:order="1" ovf:startDelay="30" ovf:waitingForGuest="true" ovf:stopAction="guestShutdown"/>
<Item ovf:id="web" ovf:order="2"/><Item ovf:id="tier" ovf:order="2" ovf:startDelay="60"/><Item ovf:id="last" ovf:order="3" ovf:startAction="none"/></StartupSection>`+
		machine("last")+machine("web")+machine("db")+machine("free")+
		`<VirtualSystemCollection ovf:id="tier"><Info>i</Info><StartupSection><Info>s</Info><Item ovf:id="b" ovf:order="2"/><Item ovf:id="a" ovf:order="1"/></StartupSection>`+
		machine("b")+machine("a")+`</VirtualSystemCollection></VirtualSystemCollection>`, 1))
	var steps []string
	for _, step := range env.StartOrder() {
		var names []string
		for _, s := range step {
			names = append(names, fmt.Sprintf("%s+%v", s.System.ID, s.Delay))
		}
		steps = append(steps, strings.Join(names, " "))
	}
	if have, want := strings.Join(steps, "; "), "free+0s; db+30s; web+0s a+0s; b+1m0s; last+0s"; have != want {
		t.Errorf("the order is %s; it should be %s", have, want)
	}
	db, last := env.StartOrder()[1][0], env.StartOrder()[4][0]
	if !db.WaitingForGuest || db.StopAction != "guestShutdown" || db.StartAction != "powerOn" || last.StartAction != "none" || last.StopAction != "powerOff" {
		t.Errorf("db is %+v, last %+v", db, last)
	}
}

func TestLanguages(t *testing.T) {
	env := parse(t, strings.Replace(minimal(`<NetworkSection><Info ovf:msgid="n">Networks</Info></NetworkSection>`, ""), "</ovf:Envelope>",
		`<Strings xml:lang="de-CH"><Msg ovf:msgid="n">Netze (CH)</Msg></Strings><Strings xml:lang="de-DE"><Msg ovf:msgid="n">Netze</Msg></Strings></ovf:Envelope>`, 1))
	info := env.Sections[0].Common().Info
	for lang, want := range map[string]string{"de-DE": "Netze", "de-ch": "Netze (CH)", "de": "Netze (CH)", "fr": "Networks", "": "Networks"} {
		if have := env.Localizer(lang).Text(info); have != want {
			t.Errorf("%q is %q", lang, have)
		}
	}
	more, err := ovf.ParseStrings(strings.NewReader(`<Strings xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns="http://schemas.dmtf.org/ovf/envelope/1" xml:lang="fr"><Msg ovf:msgid="n">Réseaux</Msg></Strings>`))
	if err != nil {
		t.Fatal(err)
	}
	env.Strings = append(env.Strings, more)
	if have := env.Localizer("fr-FR").Text(info); have != "Réseaux" {
		t.Errorf("French is %q", have)
	}
	if have := env.Languages(); !slices.Equal(have, []string{"en-US", "de-CH", "de-DE", "fr"}) {
		t.Errorf("the languages are %v", have)
	}
	if _, err := ovf.ParseStrings(strings.NewReader("<x/>")); err == nil {
		t.Error("another document is read")
	}
}

func TestCapacities(t *testing.T) {
	for _, c := range []struct {
		disk ovf.Disk
		want int64
	}{
		{ovf.Disk{Capacity: "8", Units: "byte * 2^30"}, 8 << 30},
		{ovf.Disk{Capacity: "512"}, 512},
		{ovf.Disk{Capacity: "${disk.size}", Units: "GigaBytes"}, 20 << 30},
		{ovf.Disk{Capacity: "${other}"}, -1},
		{ovf.Disk{Capacity: "1", Units: "hertz"}, -1},
		{ovf.Disk{Capacity: "9", Units: "byte * 2^62"}, -1},
		{ovf.Disk{}, -1},
	} {
		have, err := c.disk.Bytes(map[string]string{"disk.size": "20"})
		if (err != nil) != (c.want < 0) || err == nil && have != c.want {
			t.Errorf("%+v has %d, %v", c.disk, have, err)
		}
	}
}

func TestPropertiesAccept(t *testing.T) {
	for _, c := range []struct {
		kind, qualifiers, value string
		want                    bool
	}{
		{"string", "", "anything", true},
		{"uint8", "", "255", true},
		{"uint8", "", "256", false},
		{"sint16", "", "-32768", true},
		{"sint16", "", "-32769", false},
		{"boolean", "", "true", true},
		{"boolean", "", "perhaps", false},
		{"real32", "", "1.5e3", true},
		{"real64", "", "x", false},
		{"ip", "", "10.0.0.1", true},
		{"ip", "", "10.0.0.256", false},
		{"string", "MinLen(3) MaxLen(5)", "ab", false},
		{"string", "MinLen(3) MaxLen(5)", "äöü", true},
		{"string", "MinLen(3) MaxLen(5)", "abcdef", false},
		{"string", `ValueMap{"a","b, c"}`, "b, c", true},
		{"string", `ValueMap{"a","b"}`, "c", false},
		{"uint16", "MinValue(10),MaxValue(20)", "9", false},
		{"uint16", "MinValue(10),MaxValue(20)", "20", true},
	} {
		p := ovf.Property{Type: c.kind, Qualifiers: c.qualifiers}
		if err := p.Accepts(c.value); (err == nil) != c.want {
			t.Errorf("%s %s: %q: %v", c.kind, c.qualifiers, c.value, err)
		}
	}
}

func TestPropertiesAreExpanded(t *testing.T) {
	properties := map[string]string{"ip": "10.0.0.1", "a.b": "${ip}", "": "empty"}
	for text, want := range map[string]string{
		"http://${ip}/": "http://10.0.0.1/", "${ip}${ip}": "10.0.0.110.0.0.1", "${a.b}": "${ip}", "${other} ${ip}": "${other} 10.0.0.1", "${ip": "${ip", "$": "$", "${${ip}}": "${10.0.0.1}", "": "",
	} {
		if have := ovf.Expand(text, properties); have != want {
			t.Errorf("%q became %q, not %q", text, have, want)
		}
	}
}
