package archtest

import (
	"os"
	"testing"
)

// TestSources holds this module's own sources against everything.
func TestSources(t *testing.T) {
	sources, err := load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(sources.packages) == 0 {
		t.Fatal("found no packages at all: the test looks at the wrong folder")
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			for _, f := range c.run(sources) {
				t.Error(f)
			}
		})
	}
}
