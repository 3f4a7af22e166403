package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"
)

// readPassphrase reads the passphrase that is the first line of a file.
func readPassphrase(path string) (string, error) {
	text, err := readText(path)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(text, "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return "", fmt.Errorf("the first line of %s is empty", path)
	}
	return line, nil
}

// newPassphrase reads a passphrase from its file, or asks for it twice.
func (a *app) newPassphrase(ctx context.Context, path string) (string, error) {
	if path != "" {
		return readPassphrase(path)
	}
	if !isTerminal(a.in) {
		return "", usageError{"--encrypt asks for the passphrase on a terminal; without one, give it with --passphrase-file"}
	}
	given, err := a.askSecrets(ctx, "Passphrase: ", "The same again: ")
	switch {
	case err != nil:
		return "", err
	case given[0] == "":
		return "", errors.New("the passphrase is empty")
	case given[0] != given[1]:
		return "", errors.New("the passphrases are not the same")
	}
	return given[0], nil
}

// askSecrets asks for lines that the terminal does not show, also where they are
// typed before they are asked for. Where the context ends meanwhile, the terminal is as before.
func (a *app) askSecrets(ctx context.Context, prompts ...string) ([]string, error) {
	fd := int(a.in.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	defer func() { _ = term.Restore(fd, before) }()
	line := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{interruptibleReader{ctx, a.in}, a.err}, "")
	given := make([]string, 0, len(prompts))
	for _, prompt := range prompts {
		secret, err := line.ReadPassword(prompt)
		if ctx.Err() != nil || errors.Is(err, io.EOF) {
			err = errors.New("no passphrase was given")
		}
		if err != nil {
			return nil, err
		}
		given = append(given, secret)
	}
	return given, nil
}
