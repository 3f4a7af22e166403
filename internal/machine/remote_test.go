package machine

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRemote(t *testing.T) {
	for source, want := range map[string]Remote{
		"nbd://h/e":                       {Protocol: "nbd", Portals: []string{"h:10809"}, Name: "e"},
		"nbd://h:1":                       {Protocol: "nbd", Portals: []string{"h:1"}},
		"nbd://[::1]/a/b":                 {Protocol: "nbd", Portals: []string{"[::1]:10809"}, Name: "a/b"},
		"nbd+unix:///e?socket=/s":         {Protocol: "nbd", Socket: "/s", Name: "e"},
		"iscsi://h/iqn.x:y/1":             {Protocol: "iscsi", Portals: []string{"h:3260"}, Name: "iqn.x:y", LUN: 1},
		"iscsi://u@a:1,b/iqn.x/0":         {Protocol: "iscsi", Portals: []string{"a:1", "b:3260"}, Name: "iqn.x", User: "u"},
		"iscsi://[fe80::1]:5/iqn.x/2":     {Protocol: "iscsi", Portals: []string{"[fe80::1]:5"}, Name: "iqn.x", LUN: 2},
		"nfs://h/srv/d.raw":               {Protocol: "nfs", Portals: []string{"h:111"}, Name: "/srv/d.raw"},
		"nfs://[::1]/a/b c/d?uid=7&gid=0": {Protocol: "nfs", Portals: []string{"[::1]:111"}, Name: "/a/b c/d", UID: new(7), GID: new(0)},
		"iscsi://10.0.0.1,10.0.0.2/t/16":  {Protocol: "iscsi", Portals: []string{"10.0.0.1:3260", "10.0.0.2:3260"}, Name: "t", LUN: 16},
	} {
		got, err := ParseRemote(source)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", source, err, diff)
		}
	}
	for _, source := range []string{
		"http://h/e", "nbd://", "nbd://a,b/e", "nbd://h:99999/e", "nbd+unix:///e", "nbd+unix:///e?socket=s",
		"nfs://h", "nfs://h/", "nfs://h/file", "nfs://h/dir/", "nfs:///dir/file", "nfs://h:2049/dir/file", "nfs://a,b/dir/file", "nfs://h/dir/../file",
		"nfs://h//dir/file", "nfs://h/dir/file?version=4", "nfs://h/dir/file?uid=root", "nfs://h/dir/file?uid=-1", "nfs://h/dir/file?uid=1&uid=2",
		"iscsi://h", "iscsi://h/t", "iscsi://h/t/x", "iscsi://h/t/-1", "iscsi:///t/1", "iscsi://u:secret@h/t/1", "iscsi://h//1",
	} {
		if got, err := ParseRemote(source); err == nil {
			t.Errorf("%s is taken as %+v", source, got)
		}
	}
}

func FuzzParseRemote(f *testing.F) {
	f.Add("iscsi://u@a:1,b/iqn.x/0")
	f.Add("nbd+unix:///e?socket=/s")
	f.Fuzz(func(t *testing.T, source string) {
		remote, err := ParseRemote(source)
		if err == nil && remote.Socket == "" && len(remote.Portals) == 0 {
			t.Errorf("%q is at no place", source)
		}
	})
}
