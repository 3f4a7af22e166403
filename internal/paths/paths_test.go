package paths

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFor(t *testing.T) {
	tests := []struct {
		name string
		uid  int
		env  map[string]string
		want Paths
		err  string
	}{
		{
			name: "root", uid: 0, env: map[string]string{"HOME": "/root", "XDG_RUNTIME_DIR": "/run/user/0"},
			want: Paths{UID: 0, Data: "/var/lib/panal", Runtime: "/run/panal", Socket: "/run/panal/panal.sock", Config: "/etc/panal", Log: "/var/lib/panal/daemon.log"},
		},
		{
			name: "user in a session", uid: 1000, env: map[string]string{"HOME": "/home/ana", "XDG_RUNTIME_DIR": "/run/user/1000"},
			want: Paths{UID: 1000, Data: "/home/ana/.local/share/panal", Runtime: "/run/user/1000/panal", Socket: "/run/user/1000/panal/panal.sock", Config: "/home/ana/.config/panal", Log: "/home/ana/.local/share/panal/daemon.log"},
		},
		{
			name: "user with XDG variables", uid: 7, env: map[string]string{"HOME": "/h", "XDG_DATA_HOME": "/d", "XDG_CONFIG_HOME": "/c", "XDG_RUNTIME_DIR": "relative"},
			want: Paths{UID: 7, Data: "/d/panal", Runtime: "/tmp/panal-7", Socket: "/tmp/panal-7/panal.sock", Config: "/c/panal", Log: "/d/panal/daemon.log"},
		},
		{
			name: "overrides", uid: 7, env: map[string]string{EnvData: "/x/data/", EnvRuntime: "/x/run"},
			want: Paths{UID: 7, Data: "/x/data", Runtime: "/x/run", Socket: "/x/run/panal.sock", Config: "", Log: "/x/data/daemon.log"},
		},
		{
			name: "overridden socket", uid: 0, env: map[string]string{EnvSocket: "/s"},
			want: Paths{UID: 0, Data: "/var/lib/panal", Runtime: "/run/panal", Socket: "/s", Config: "/etc/panal", Log: "/var/lib/panal/daemon.log"},
		},
		{name: "no home", uid: 7, err: "HOME is not set"},
		{name: "relative override", uid: 0, env: map[string]string{EnvSocket: "s"}, err: `PANAL_SOCKET is "s", which is not an absolute path`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := For(test.uid, func(name string) string { return test.env[name] })
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckSocket(t *testing.T) {
	longest := "/" + strings.Repeat("s", MaxSocket-1)
	if err := CheckSocket(longest); err != nil {
		t.Errorf("%d bytes: %v", len(longest), err)
	}
	if err := CheckSocket(longest + "s"); err == nil || !strings.Contains(err.Error(), EnvRuntime) {
		t.Errorf("one byte too many: %v, want an error that says what to set", err)
	}
	if err := CheckSocket("panal.sock"); err == nil {
		t.Error("a relative path was accepted")
	}
}

func TestMakeTwice(t *testing.T) {
	p := Paths{UID: os.Getuid(), Data: filepath.Join(t.TempDir(), "a", "data"), Runtime: filepath.Join(t.TempDir(), "run")}
	for range 2 {
		if err := p.Make(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(p.Data)
	if err != nil || info.Mode().Perm()&0o022 != 0 {
		t.Errorf("data directory: %v %v, want one that others cannot write", info, err)
	}
}

func TestMakeRefuses(t *testing.T) {
	base := t.TempDir()
	plant := func(name string, plant func(path string) error) string {
		path := filepath.Join(base, name)
		if err := plant(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open := plant("open", func(path string) error {
		if err := os.Mkdir(path, 0o700); err != nil {
			return err
		}
		return os.Chmod(path, 0o777)
	})
	tests := []struct{ name, dir, err string }{
		{"a file", plant("file", func(path string) error { return os.WriteFile(path, nil, 0o600) }), "not a directory"},
		{"one that all can write", open, "written by everybody"},
		{"a link to one that all can write", plant("link", func(path string) error { return os.Symlink(open, path) }), "written by everybody"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := Paths{UID: os.Getuid(), Data: filepath.Join(base, "data"), Runtime: test.dir}
			if err := p.Make(); err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want one with %q", err, test.err)
			}
		})
	}
	own := Paths{UID: os.Getuid() + 1, Data: base, Runtime: base}
	if err := own.Make(); err == nil || !strings.Contains(err.Error(), "belongs to") {
		t.Errorf("somebody else's directory: %v", err)
	}
}
