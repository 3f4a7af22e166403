package vhd_test

import (
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/vhd"
	"github.com/panalvm/panal/internal/testenv"
)

var formats = []*disk.Format{vhd.Format}

func TestQEMU(t *testing.T) {
	disktest.Peer{
		Format: vhd.Format, Variants: []string{"dynamic", "fixed"}, Name: "vpc", Need: testenv.Need,
		Options: []string{"subformat=dynamic", "subformat=dynamic,force_size=on", "subformat=fixed", "subformat=fixed,force_size=on"},
	}.Run(t)
}

func TestCorpus(t *testing.T) { disktest.Corpus(t, vhd.Format) }
