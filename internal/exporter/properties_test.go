package exporter_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/exporter"
	"github.com/panalvm/panal/internal/importer"
)

// properties are those of an appliance, by machine and key, as an import has them.
func properties(t *testing.T, dir, name string) map[string]string {
	t.Helper()
	s, err := importer.Open(filepath.Join(dir, name+".ovf"), appliance.Choices{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := map[string]string{}
	for _, p := range s.Appliance.Properties {
		value := p.Value
		if p.Secret {
			value += " (secret)"
		}
		all[p.Machine+" "+p.Key] = value
	}
	return all
}

func TestPropertiesGoAlong(t *testing.T) {
	web, _ := machine(t, "web")
	db, _ := machine(t, "db")
	web.Spec.Environment = &api.Environment{
		Properties: map[string]string{"org.example.size": "small", "vami.ip0.VM_1": "10.0.0.1", "org.example.password": "topsecret"},
		Secrets:    []string{"org.example.password"},
	}
	o := options("web")
	o.Properties = map[string]string{"org.example.size": "big", "plain": "yes"}
	one := folderOf(t, []exporter.Machine{web}, o)
	want := map[string]string{"vm1 org.example.size": "big", "vm1 vami.ip0.VM_1": "10.0.0.1", "vm1 org.example.password": " (secret)", "vm1 plain": "yes"}
	if diff := cmp.Diff(want, properties(t, one, "web")); diff != "" {
		t.Error(diff)
	}
	text, err := os.ReadFile(filepath.Join(one, "web.ovf"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("topsecret")) {
		t.Error("the descriptor tells a secret")
	}
	two := folderOf(t, []exporter.Machine{web, db}, o)
	want = map[string]string{" org.example.size": "big", " plain": "yes", "vm1 org.example.size": "small", "vm1 vami.ip0.VM_1": "10.0.0.1", "vm1 org.example.password": " (secret)"}
	if diff := cmp.Diff(want, properties(t, two, "web")); diff != "" {
		t.Error(diff)
	}
}
