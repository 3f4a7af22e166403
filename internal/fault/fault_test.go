package fault

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestNothingHappensWithoutAPlan(t *testing.T) {
	if err := At(context.Background(), "anywhere"); err != nil {
		t.Fatal(err)
	}
}

func TestRulesStrikeWhereTheySay(t *testing.T) {
	plan, err := Parse("fail:create.disk,nospace:save.*@2")
	if err != nil {
		t.Fatal(err)
	}
	ctx := With(context.Background(), plan)
	for _, step := range []struct {
		place string
		fails bool
	}{
		{"create.folder", false},
		{"create.disk", true},
		{"create.disk", true},
		{"save.open", false},
		{"save.write", true},
		{"save.write", true},
	} {
		if err := At(ctx, step.place); (err != nil) != step.fails {
			t.Errorf("at %s: %v", step.place, err)
		}
	}
	if err := At(ctx, "save.write"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("nospace gave %v", err)
	}
}

func TestTraceNamesThePlacesPassed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "places")
	plan, err := Parse("trace:" + file)
	if err != nil {
		t.Fatal(err)
	}
	ctx := With(context.Background(), plan)
	for _, place := range []string{"one", "two"} {
		if err := At(ctx, place); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := os.ReadFile(file); string(got) != "one\ntwo\n" {
		t.Errorf("trace holds %q", got)
	}
}

func TestWrongPlansAreRefused(t *testing.T) {
	for _, text := range []string{"kill", "burn:here", "kill:x@0", "kill:x@y", "fail:[", "kill:"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
