package problem_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
)

// kinds is every kind with the status that package api promises for it.
var kinds = map[api.Kind]int{
	api.KindInvalid: 422, api.KindNotFound: 404, api.KindAmbiguous: 409, api.KindExists: 409, api.KindConflict: 409,
	api.KindWrongState: 409, api.KindBusy: 409, api.KindEdited: 409, api.KindUnreadable: 422, api.KindUnsupported: 422,
	api.KindMissing: 422, api.KindNoSpace: 507, api.KindGone: 410, api.KindRefused: 403, api.KindTooLarge: 413,
	api.KindCancelled: 409, api.KindLocked: 423, api.KindTimeout: 504, api.KindUnavailable: 503, api.KindInternal: 500,
}

func TestKinds(t *testing.T) {
	titles := map[string]api.Kind{}
	for kind, status := range kinds {
		got := problem.New(kind, "do this", "attempted %d things", 3)
		if got.Title == "" || titles[got.Title] != "" {
			t.Errorf("%s has the title %q, as has %q", kind, got.Title, titles[got.Title])
		}
		titles[got.Title] = kind
		want := &api.Problem{
			Type: "urn:panal:problem:" + string(kind), Title: got.Title, Status: status,
			Detail: "attempted 3 things", Help: "do this", Kind: kind,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if problem.Status(kind) != status {
			t.Errorf("%s has the status %d", kind, problem.Status(kind))
		}
	}
	if got := problem.Status("unheard-of"); got != 0 {
		t.Errorf("a kind that is not known has the status %d", got)
	}
}

func TestKindOfFitsItsStatus(t *testing.T) {
	for status := 400; status < 600; status++ {
		kind := problem.KindOf(status)
		if kinds[kind] == 0 || kinds[kind]/100 != status/100 {
			t.Errorf("status %d is of the kind %s, whose status is %d", status, kind, kinds[kind])
		}
	}
	for status, want := range map[int]api.Kind{
		http.StatusNotFound: api.KindNotFound, http.StatusMethodNotAllowed: api.KindNotFound,
		http.StatusRequestEntityTooLarge: api.KindTooLarge, http.StatusForbidden: api.KindRefused,
		http.StatusServiceUnavailable: api.KindUnavailable, http.StatusBadRequest: api.KindInvalid,
	} {
		if got := problem.KindOf(status); got != want {
			t.Errorf("status %d: %s, want %s", status, got, want)
		}
	}
}

func TestInvalid(t *testing.T) {
	fields := []api.FieldError{{Field: "cpu.count", Message: "is 0"}}
	got := problem.Invalid(fields, "create machine %q", "web")
	if got.Kind != api.KindInvalid || got.Status != 422 || got.Error() != `create machine "web": cpu.count: is 0` {
		t.Errorf("%+v: %v", got, got)
	}
}

// missing is an error that knows its kind.
type missing struct{}

func (missing) Error() string         { return "swtpm is not installed" }
func (missing) ProblemKind() api.Kind { return api.KindMissing }
func (missing) ProblemHelp() string   { return "install it" }

func TestOf(t *testing.T) {
	_, notThere := os.Open("/nowhere/at/all")
	for _, test := range []struct {
		err          error
		kind         api.Kind
		detail, help string
	}{
		{fmt.Errorf("start: %w", missing{}), api.KindMissing, "start: swtpm is not installed", "install it"},
		{fmt.Errorf("write: %w", syscall.ENOSPC), api.KindNoSpace, "write: no space left on device", "free some space and try again"},
		{syscall.EDQUOT, api.KindNoSpace, "disk quota exceeded", "free some space and try again"},
		{fmt.Errorf("open: %w", syscall.EACCES), api.KindUnreadable, "open: permission denied", "check the permissions"},
		{
			&fs.PathError{Op: "open", Path: "/dev/sda1", Err: syscall.EBUSY}, api.KindBusy, "open /dev/sda1: device or resource busy",
			"end what uses it, or what uses a part of it (`lsof` and `lsblk` name it)",
		},
		{syscall.EROFS, api.KindUnreadable, "read-only file system", "check the permissions"},
		{notThere, api.KindUnreadable, "open /nowhere/at/all: no such file or directory", ""},
		{&fs.PathError{Op: "read", Path: "/d", Err: syscall.EIO}, api.KindUnreadable, "read /d: input/output error", ""},
		{context.Canceled, api.KindCancelled, "context canceled", ""},
		{fmt.Errorf("wait: %w", context.DeadlineExceeded), api.KindTimeout, "wait: context deadline exceeded", ""},
		{fmt.Errorf("get: %w", state.ErrNotFound), api.KindNotFound, "get: " + state.ErrNotFound.Error(), ""},
		{fmt.Errorf("put: %w", state.ErrConflict), api.KindConflict, "put: " + state.ErrConflict.Error(), ""},
		{fmt.Errorf("copy: %w", disk.Corrupt("vdi", 1, "torn")), api.KindUnreadable, "copy: vdi: at offset 0x1: torn", "`panal disk check` may say more of the image"},
		{errors.New("odd"), api.KindInternal, "odd", "please report this"},
	} {
		got := problem.Of(test.err)
		if got.Kind != test.kind || got.Detail != test.detail || got.Help != test.help || got.Status != kinds[test.kind] {
			t.Errorf("Of(%v) = %+v", test.err, got)
		}
	}
	if got := problem.Of(nil); got != nil {
		t.Errorf("Of(nil) = %+v", got)
	}
}

func TestOfAProblemInAChain(t *testing.T) {
	inner := &api.Problem{
		Kind: api.KindInvalid, Detail: "the spec is not valid", Help: "mend it",
		Errors: []api.FieldError{{Field: "name", Message: "is missing"}},
	}
	before := *inner
	outer := fmt.Errorf("create machine: %w, so nothing was made", inner)
	got := problem.Of(outer)
	if got.Detail != "create machine: the spec is not valid, so nothing was made" || got.Help != "mend it" ||
		len(got.Errors) != 1 || got.Status != 422 || got.Title == "" {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff(&before, inner); diff != "" {
		t.Errorf("the error given has been changed:\n%s", diff)
	}
	if again := problem.Of(got); again.Detail != got.Detail {
		t.Errorf("again: %+v", again)
	}
}
