package cli_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// The phrase that is typed, which no terminal may show.
const typedPhrase = "correct horse"

const lockedMachine = `{"kind":"locked","status":423,"title":"A disk is locked","detail":"start web: drive disk0 is encrypted, and nobody gave its passphrase"}`

// Passphrases of encrypted disks are asked for on a terminal, new ones twice; what is typed is not shown, and reaches the daemon once
// and only if all is well.
func TestPassphrasesOfDisks(t *testing.T) {
	machine := `{"revision":1,"spec":{"name":"web","uuid":"u1"},"status":{"state":"off"}}`
	for _, test := range []struct {
		about  string
		args   string
		script string
		dialog string // PROMPT>TYPED, separated by |
		want   string // on the screen in the end
		sent   string // to the daemon
	}{
		{"two that differ", "create vault --new-disk 1G --encrypt", "", "Passphrase: >" + typedPhrase + "\n|The same again: >another\n", "the passphrases are not the same", ""},
		{"an empty one", "create vault --new-disk 1G --encrypt", "", "Passphrase: >\n|The same again: >\n", "the passphrase is empty", ""},
		{"^C", "create vault --new-disk 1G --encrypt", "", "Passphrase: >\x03", "no passphrase was given", ""},
		{"^C at the second", "create vault --new-disk 1G --encrypt", "", "Passphrase: >" + typedPhrase + "\n|The same again: >\x03", "no passphrase was given", ""},
		{"^D", "medium passphrase /secret.qcow2", "", "Present passphrase: >\x04", "no passphrase was given", ""},
		{"create", "create vault --new-disk 1G --encrypt", "POST /v1/machines 409 refused.json", "Passphrase: >" + typedPhrase + "\n|The same again: >" + typedPhrase + "\n", "that will do", `"passphrase":"` + typedPhrase + `"`},
		{"attach", "attach web --new-disk 1G --encrypt", "POST /v1/machines/web/attach 409 refused.json", "Passphrase: >" + typedPhrase + "\n|The same again: >" + typedPhrase + "\n", "that will do", `"passphrase":"` + typedPhrase + `"`},
		{"start, and it opens", "start web", "POST /v1/machines/web/start 423 locked.json\nPOST /v1/machines/web/start 409 refused.json\nPOST /v1/machines/web/unlock 200 machine.json", "Passphrase of web: >" + typedPhrase + "\n", "that will do", `{"passphrase":"` + typedPhrase + `"}`},
		{"start, and it is wrong", "start web", "POST /v1/machines/web/start 423 locked.json\nPOST /v1/machines/web/unlock 409 refused.json", "Passphrase of web: >" + typedPhrase + "\n", "that will do", `{"passphrase":"` + typedPhrase + `"}`},
		{"start, and ^C", "start web", "POST /v1/machines/web/start 423 locked.json", "Passphrase of web: >\x03", "no passphrase was given", ""},
		{"unlock", "unlock web", "POST /v1/machines/web/unlock 409 refused.json", "Passphrase: >" + typedPhrase + "\n", "that will do", typedPhrase},
		{"a medium's", "medium passphrase /secret.qcow2", "POST /v1/media/%2Fsecret.qcow2/passphrase 409 refused.json", "Present passphrase: >old\n|\nPassphrase: >" + typedPhrase + "\n|The same again: >" + typedPhrase + "\n", "that will do", `"passphrase":"old","add":"` + typedPhrase + `","remove":true`},
		{"a medium's, differing", "medium passphrase /secret.qcow2", "", "Present passphrase: >old\n|\nPassphrase: >" + typedPhrase + "\n|The same again: >x\n", "the passphrases are not the same", ""},
	} {
		t.Run(test.about, func(t *testing.T) {
			f := daemon(t, test.script, map[string]string{
				"locked.json": lockedMachine, "refused.json": `{"kind":"refused","detail":"that will do"}`, "machine.json": machine,
			})
			term := newTerminal(t)
			c := command(t, f, strings.Fields(test.args)...)
			onTerminal(t, term, c)
			for turn := range strings.SplitSeq(test.dialog, "|") {
				prompt, typed, _ := strings.Cut(turn, ">")
				term.expect(prompt)
				fmt.Fprint(term.keyboard, typed)
			}
			term.expect(test.want)
			if err := c.Wait(); err == nil {
				t.Error("the command succeeded")
			}
			term.mu.Lock()
			screen := term.screen.String()
			term.mu.Unlock()
			if strings.Contains(screen, typedPhrase) {
				t.Errorf("the terminal shows it:\n%s", screen)
			}
			f.mu.Lock()
			sent := f.bodies.String()
			f.mu.Unlock()
			if !strings.Contains(sent, test.sent) || test.sent == "" && strings.Contains(sent, typedPhrase) {
				t.Errorf("sent: %s, and not %s", sent, test.sent)
			}
		})
	}
}

// A program that is told to end while it asks ends, and the terminal echoes again.
func TestEndedWhileItAsks(t *testing.T) {
	term := newTerminal(t)
	c := command(t, daemon(t, "", nil), "disk", "create", "secret.qcow2", "--size", "1M", "--encrypt")
	c.Dir = t.TempDir()
	onTerminal(t, term, c)
	term.expect("Passphrase: ")
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil {
		t.Error("the command succeeded")
	}
	if term.raw() {
		t.Error("the terminal is left as it is for passphrases")
	}
}
