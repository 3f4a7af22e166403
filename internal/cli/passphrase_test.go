package cli_test

import (
	"fmt"
	"strings"
	"testing"
)

// The passphrase of an encrypted appliance is asked for where there is a terminal,
// and shown nowhere.
func TestThePassphraseOfAnAppliance(t *testing.T) {
	const secret = "correct horse"
	f := daemon(t, `
POST /v1/imports:plan 200 plan.json
POST /v1/imports 409 refused.json
`, map[string]string{
		"plan.json":    `{"kind":"ovf","name":"web","integrity":"","machines":[],"encrypted":true}`,
		"refused.json": `{"kind":"refused","detail":"import web.ova: the passphrase is not the one","help":"give the one that it was encrypted with"}`,
	})
	term := newTerminal(t)
	c := command(t, f, "import", "web.ova")
	onTerminal(t, term, c)
	term.expect(`Passphrase: `)
	fmt.Fprint(term.keyboard, secret+"\n")
	term.expect(`the passphrase is not the one`)
	if err := c.Wait(); err == nil {
		t.Error("it was refused, and the command succeeded")
	}
	if screen := term.screen.String(); strings.Contains(screen, secret) {
		t.Errorf("the terminal shows it:\n%s", screen)
	}
	if sent := f.bodies.String(); !strings.Contains(sent, `"passphrase":"`+secret+`"`) {
		t.Errorf("sent: %s", sent)
	}
}

// A new passphrase is asked for twice.
func TestTheNewPassphraseOfAnAppliance(t *testing.T) {
	f := daemon(t, "", nil)
	for second, want := range map[string]string{
		"another": "the passphrases are not the same",
		"same":    `the script has no POST /v1/exports`,
	} {
		term := newTerminal(t)
		c := command(t, f, "export", "web", "web.ova", "--encrypt")
		onTerminal(t, term, c)
		term.expect(`Passphrase: `)
		fmt.Fprint(term.keyboard, "same\n")
		term.expect(`The same again: `)
		fmt.Fprint(term.keyboard, second+"\n")
		term.expect(want)
		if err := c.Wait(); err == nil {
			t.Error("the command succeeded")
		}
	}
}
