package environment_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/environment"
	"github.com/panalvm/panal/ovf"
)

func TestTheCDHasTheDocument(t *testing.T) {
	dir := t.TempDir()
	told := &api.Environment{
		ID: "web", Properties: map[string]string{"org.example.role": "server <&> größer", "a": ""},
		Entities: []api.Entity{{Name: "db", Properties: map[string]string{"ip": "10.0.0.2"}}},
	}
	for _, role := range []string{"a longer one than the next", "client"} { // anew, and shorter
		told.Properties["org.example.role"] = role
		if err := environment.Write(dir, told, ovf.Platform{Kind: "QEMU"}); err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, filepath.Join(dir, environment.CD))
	want := &ovf.Environment{
		ID: "web", Platform: ovf.Platform{Kind: "QEMU"},
		Properties: []ovf.EnvironmentProperty{{Key: "a"}, {Key: "org.example.role", Value: "client"}},
		Entities:   []ovf.Entity{{ID: "db", Properties: []ovf.EnvironmentProperty{{Key: "ip", Value: "10.0.0.2"}}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
	info, err := os.Stat(filepath.Join(dir, environment.CD))
	if err != nil || info.Mode().Perm() != 0o600 || info.Size()%2048 != 0 {
		t.Errorf("%v, %v", info, err)
	}
}

// read reads the document from a CD.
func read(t *testing.T, image string) *ovf.Environment {
	t.Helper()
	cd, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer cd.Close()
	iso, err := iso9660.Read(file.New(cd, true), 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	document, err := iso.OpenFile("/ovf-env.xml", os.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(document)
	if err != nil {
		t.Fatal(err)
	}
	env, err := ovf.ParseEnvironment(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return env
}

func TestAFolderThatCannotBeWrittenIsAnError(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := environment.Write(name, &api.Environment{}, ovf.Platform{}); err == nil {
		t.Error("no error")
	}
}
