package ovf_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/panalvm/panal/ovf"
)

func product(class string, properties ...ovf.Property) ovf.Section {
	return &ovf.ProductSection{Class: class, Properties: properties}
}

func TestEnvironment(t *testing.T) {
	env := &ovf.Envelope{Content: []ovf.Content{&ovf.Collection{
		ID:       "all",
		Sections: []ovf.Section{product("", ovf.Property{Key: "domain", Default: "example.org"}, ovf.Property{Key: "shared", Default: "outer"})},
		Content: []ovf.Content{
			&ovf.VirtualSystem{ID: "web", Sections: []ovf.Section{product("", ovf.Property{Key: "shared", Default: "inner"}), product("app", ovf.Property{Key: "ip"})}},
			&ovf.VirtualSystem{ID: "db", Sections: []ovf.Section{product("db", ovf.Property{Key: "port", Default: "5432"})}},
		},
	}}}
	have := env.Environment("web", map[string]string{"app.ip": "10.0.0.1", "unknown": "x"})
	have.Platform = ovf.Platform{Kind: "Panal", Version: "1.0", Vendor: "panalvm", Locale: "en"}
	want := &ovf.Environment{
		ID: "web", Platform: have.Platform,
		Properties: []ovf.EnvironmentProperty{{Key: "domain", Value: "example.org"}, {Key: "shared", Value: "inner"}, {Key: "app.ip", Value: "10.0.0.1"}},
		Entities:   []ovf.Entity{{ID: "db", Properties: []ovf.EnvironmentProperty{{Key: "db.port", Value: "5432"}}}},
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	var b bytes.Buffer
	if err := have.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1"`, `<Property oe:key="app.ip" oe:value="10.0.0.1"/>`} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("%s is not in\n%s", part, &b)
		}
	}
	again, err := ovf.ParseEnvironment(&b)
	if diff := cmp.Diff(have, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if env.Environment("nobody", nil) != nil {
		t.Error("there is an environment for nobody")
	}
	if _, err := ovf.ParseEnvironment(strings.NewReader(minimal("", ""))); err == nil {
		t.Error("an envelope is read as an environment")
	}
}

// VMware adds sections of its own.
func TestVMwaresEnvironment(t *testing.T) {
	env, err := ovf.ParseEnvironment(strings.NewReader(`<?xml version="1.0" encoding="UTF-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:oe="http://schemas.dmtf.org/ovf/environment/1" xmlns:ve="http://www.vmware.com/schema/ovfenv" oe:id="" ve:vCenterId="vm-1">
<PlatformSection><Kind>VMware ESXi</Kind><Locale>en</Locale></PlatformSection>
<PropertySection><Property oe:key="hostname" oe:value="web"/></PropertySection>
<ve:EthernetAdapterSection><ve:Adapter ve:mac="00:50:56:00:00:01"/></ve:EthernetAdapterSection></Environment>`))
	if err != nil {
		t.Fatal(err)
	}
	if env.Platform.Kind != "VMware ESXi" || env.Properties[0].Value != "web" || len(env.Extra) != 1 || len(env.Attrs) != 1 {
		t.Errorf("it is %+v", env)
	}
}
