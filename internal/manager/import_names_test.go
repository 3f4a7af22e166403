package manager

import "testing"

// A name that an import holds is refused to another one, and given to it when the first has told its end.
func TestNamesOfAnImportThatEnds(t *testing.T) {
	var c claims
	if !c.take("web") || c.take("web") || !c.take("mail") {
		t.Fatal("names are not held")
	}
	c.ending([]string{"web"})
	taken := make(chan bool)
	go func() { taken <- c.take("web") }()
	if c.take("mail") {
		t.Error("the name of one that goes on was given away")
	}
	c.release([]string{"web", "mail"})
	if !<-taken || !c.take("mail") || c.take("web") {
		t.Error("names were not released, or given twice")
	}
}
