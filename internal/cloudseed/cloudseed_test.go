package cloudseed_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/internal/cloudseed"
	"github.com/panalvm/panal/internal/testenv"
)

// disc makes a disc as people do.
func disc(t *testing.T, volume, metaData string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"meta-data": metaData, "user-data": "#cloud-config\nhostname: web\n", "network-config": "version: 2\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	image := filepath.Join(dir, "seed.iso")
	cmd := exec.Command(testenv.Need(t, "genisoimage"), "-quiet", "-o", image, "-V", volume, "-J", "-r", "user-data", "meta-data", "network-config")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return image
}

// said is a file on a disc, as another program reads it.
func said(t *testing.T, image, name string) string {
	t.Helper()
	out, err := exec.Command(testenv.Need(t, "isoinfo"), "-R", "-i", image, "-x", "/"+name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestAnotherInstance(t *testing.T) {
	for given, want := range map[string]string{
		"instance-id: iid-web\nlocal-hostname: web\n":        "instance-id: iid-new\nlocal-hostname: web\n",
		"local-hostname: web\ninstance-id:   \"a: b\"\nx: 1": "local-hostname: web\ninstance-id: iid-new\nx: 1",
		"local-hostname: web\n":                              "instance-id: iid-new\nlocal-hostname: web\n",
		`{"local-hostname": "web", "instance-id": "a"}`:      `{"instance-id":"iid-new","local-hostname":"web"}`,
		"": "instance-id: iid-new\n",
	} {
		seed, err := cloudseed.Read(disc(t, "cidata", given))
		if err != nil || seed == nil {
			t.Fatalf("%q: %v, %v", given, seed, err)
		}
		image := filepath.Join(t.TempDir(), "new.iso")
		if err := seed.SetInstance("iid-new"); err != nil {
			t.Fatal(err)
		}
		if err := seed.Write(image); err != nil {
			t.Fatal(err)
		}
		if got := said(t, image, "meta-data"); got != want {
			t.Errorf("%q became %q, want %q", given, got, want)
		}
		if got := said(t, image, "user-data"); !strings.Contains(got, "hostname: web") {
			t.Errorf("the user's data became %q", got)
		}
		label, err := exec.Command("isoinfo", "-d", "-i", image).Output()
		if err != nil || !strings.Contains(string(label), "Volume id: cidata") {
			t.Errorf("%v: %s", err, label)
		}
		if again, err := cloudseed.Read(image); err != nil || again == nil {
			t.Errorf("what was made is no seed: %v", err)
		}
	}
}

func TestWhatIsNoSeed(t *testing.T) {
	other := disc(t, "DEBIAN", "instance-id: a\n")
	content, err := os.ReadFile(disc(t, "CIDATA", "instance-id: a\n"))
	if err != nil {
		t.Fatal(err)
	}
	if seed, err := cloudseed.Read(other); err != nil || seed != nil {
		t.Errorf("a disc of another name: %v, %v", seed, err)
	}
	if _, err := cloudseed.Read(filepath.Join(t.TempDir(), "gone.iso")); err == nil {
		t.Error("a file that is not there is no error")
	}
	// Damaged at any place it is no seed, or another one; it takes nothing down.
	for at := 32 << 10; at < min(len(content), 64<<10); at += 131 {
		damaged := append([]byte(nil), content...)
		for i := range 4 {
			damaged[at+i] = 0xff
		}
		path := filepath.Join(t.TempDir(), "damaged.iso")
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _ = cloudseed.Read(path)
	}
}

// What OpenStack gives its instances says which one it is in each version that it holds.
func TestAnotherInstanceOfAConfigDrive(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"latest", "2015-10-15"} {
		place := filepath.Join(dir, "drive", "openstack", version)
		if err := os.MkdirAll(place, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"meta_data.json": `{"uuid": "old", "hostname": "web", "launch_index": 10000000000000001}`, "user_data": "#cloud-config\n"} {
			if err := os.WriteFile(filepath.Join(place, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	image := filepath.Join(dir, "config.iso")
	if out, err := exec.Command(testenv.Need(t, "genisoimage"), "-quiet", "-o", image, "-V", "config-2", "-J", "-r", filepath.Join(dir, "drive")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	seed, err := cloudseed.Read(image)
	if err != nil || seed == nil {
		t.Fatalf("%v, %v", seed, err)
	}
	changed := filepath.Join(dir, "new.iso")
	if err := errors.Join(seed.SetInstance("iid-new"), seed.Write(changed)); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"latest", "2015-10-15"} {
		const want = `{"hostname":"web","launch_index":10000000000000001,"uuid":"iid-new"}`
		if got := said(t, changed, "openstack/"+version+"/meta_data.json"); got != want {
			t.Errorf("%s became %s", version, got)
		}
		if got := said(t, changed, "openstack/"+version+"/user_data"); got != "#cloud-config\n" {
			t.Errorf("the user's data became %q", got)
		}
	}
	if again, err := cloudseed.Read(changed); err != nil || again == nil {
		t.Errorf("what was made is no seed: %v", err)
	}
}
