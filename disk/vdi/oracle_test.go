package vdi_test

import (
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/vdi"
	"github.com/panalvm/panal/internal/testenv"
)

var formats = []*disk.Format{vdi.Format}

func TestQEMU(t *testing.T) {
	disktest.Peer{
		Format: vdi.Format, Variants: []string{"dynamic", "fixed"}, Name: "vdi", Checks: true, Need: testenv.Need,
		Options: []string{"static=off", "static=on"},
	}.Run(t)
}

func TestCorpus(t *testing.T) { disktest.Corpus(t, vdi.Format) }
