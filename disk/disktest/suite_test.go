package disktest

import "testing"

// TestARightFormatPasses runs the suite on a format without a bug.
func TestARightFormatPasses(t *testing.T) {
	Run(t, Subject{Format: toyFormat(""), Variant: "plain", Block: toyBlock, Size: 300<<10 + 512})
}
