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

func TestWorkIsCancelledOnceAndNotToldByThePlace(t *testing.T) {
	plan, err := Parse("cancel:save.*@2")
	if err != nil {
		t.Fatal(err)
	}
	cancelled := 0
	ctx := Cancellable(With(context.Background(), plan), func() { cancelled++ })
	for i, want := range []int{0, 1, 1} {
		if err := At(ctx, "save.write"); err != nil || cancelled != want {
			t.Errorf("place %d: %v, cancelled %d times, want %d", i+1, err, cancelled, want)
		}
	}
}

func TestAPlanInAFileIsTheOneThatIsThere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "plan")
	plan, err := Parse("file:" + file)
	if err != nil {
		t.Fatal(err)
	}
	ctx := With(context.Background(), plan)
	put := func(text string) {
		if err := errors.Join(os.WriteFile(file+".new", []byte(text), 0o600), os.Rename(file+".new", file)); err != nil {
			t.Fatal(err)
		}
	}
	if err := At(ctx, "save.open"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
	for _, step := range []struct {
		put   string
		fails bool
	}{
		{"", false},
		{"nospace:save.*@2\n", false},
		{"", false},
		{"nospace:save.*@2\n", false}, // counted anew
		{"fail:*@1", true},
		{"kill", true}, // which is no plan
	} {
		put(step.put)
		if err := At(ctx, "save.open"); (err != nil) != step.fails {
			t.Errorf("with the plan %q: %v", step.put, err)
		}
	}
}

func TestWorkKeepsThePlanItBeganWith(t *testing.T) {
	file := filepath.Join(t.TempDir(), "plan")
	put := func(text string) {
		if err := errors.Join(os.WriteFile(file+".new", []byte(text), 0o600), os.Rename(file+".new", file)); err != nil {
			t.Fatal(err)
		}
	}
	plan, err := Parse("file:" + file)
	if err != nil {
		t.Fatal(err)
	}
	put("")
	before := Begin(With(context.Background(), plan))
	put("fail:*@2")
	after := Begin(With(context.Background(), plan))
	for i, want := range []bool{false, false, false, true} {
		ctx := after
		if i < 2 {
			ctx = before
		}
		if err := At(ctx, "save.open"); (err != nil) != want {
			t.Errorf("place %d: %v", i, err)
		}
	}
	if ctx := context.Background(); Begin(ctx) != ctx {
		t.Error("a context without a plan has become another one")
	}
}

func TestWaitEndsWithTheContext(t *testing.T) {
	plan, err := Parse("wait:stream.*")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(With(context.Background(), plan))
	waited := make(chan error)
	go func() { waited <- At(ctx, "stream.begun") }()
	if err := At(ctx, "save.write"); err != nil { // others pass meanwhile
		t.Error(err)
	}
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
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
