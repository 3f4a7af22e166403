package qemu

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// Passphrases are in no argument and no environment of QEMU, in whatever spelling; and where there is none,
// nothing is started.
func TestPassphrasesAreInNoArgument(t *testing.T) {
	for _, c := range launchCases() {
		if c.name != "q35-encrypted" {
			continue
		}
		launch := c.launch(t, fixtureCaps(t, c.arch), goldenPlaces, Firmware{})
		invocation, err := Command(launch)
		if err != nil {
			t.Fatal(err)
		}
		said := fmt.Sprint(invocation.Args)
		for _, secret := range []string{passphrase, base64.StdEncoding.EncodeToString([]byte(passphrase))} {
			if strings.Contains(said, secret) {
				t.Errorf("%q is among the arguments: %s", secret, said)
			}
		}
		launch.Keys = nil
		if _, err := Command(launch); err == nil || !strings.Contains(err.Error(), "its passphrase was not given") {
			t.Errorf("without passphrases: %v", err)
		}
		return
	}
	t.Error("no launch has encrypted images")
}
