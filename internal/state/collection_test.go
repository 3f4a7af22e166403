package state_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/state/memstate"
)

type drive struct {
	Path string `json:"path,omitempty"`
	Slot int    `json:"slot,omitempty"`
}

type machine struct {
	Name   string            `json:"name"`
	CPUs   int               `json:"cpus,omitempty"`
	Boot   *boot             `json:"boot,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	Drives []drive           `json:"drives,omitempty"`
}

type boot struct {
	Kernel string `json:"kernel,omitempty"`
}

func machines(t *testing.T) (*state.Collection[machine], state.Store) {
	t.Helper()
	store := memstate.New()
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return state.NewCollection[machine](store, "machines/"), store
}

func put(t *testing.T, store state.Store, key, value string) state.Revision {
	t.Helper()
	revision, err := store.Commit(t.Context(), state.Put(key, []byte(value)))
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func TestCollectionRoundTrip(t *testing.T) {
	ctx := t.Context()
	all, store := machines(t)
	created, err := all.Create(ctx, "web", machine{Name: "web", CPUs: 2})
	if err != nil {
		t.Fatal(err)
	}
	put(t, store, "machines2/other", `{"name":"other"}`)

	created.Value.CPUs = 4
	updated, err := all.Update(ctx, created)
	if err != nil {
		t.Fatal(err)
	}
	if updated.Revision <= created.Revision {
		t.Errorf("update made revision %d, not after %d", updated.Revision, created.Revision)
	}
	var conflict *state.ConflictError
	if _, err := all.Update(ctx, created); !errors.As(err, &conflict) || conflict.Key != "machines/web" {
		t.Errorf("a stale update gave %v, not a conflict on machines/web", err)
	}
	objects, _, err := all.List(ctx)
	if err != nil || len(objects) != 1 || objects[0].Value.CPUs != 4 || objects[0].Key != "web" {
		t.Errorf("list is %+v, %v", objects, err)
	}
	if err := all.Delete(ctx, "web", created.Revision); !errors.Is(err, state.ErrConflict) {
		t.Errorf("a stale delete gave %v", err)
	}
	if err := all.Delete(ctx, "web", updated.Revision); err != nil {
		t.Error(err)
	}
	if _, err := all.Get(ctx, "web"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("get after delete gave %v", err)
	}
}

func TestCollectionOpsChangeSeveralObjectsAtOnce(t *testing.T) {
	ctx := t.Context()
	all, store := machines(t)
	web, err := all.Create(ctx, "web", machine{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	web.Value.CPUs = 8
	update, err := all.UpdateOp(ctx, web)
	if err != nil {
		t.Fatal(err)
	}
	create, err := all.CreateOp("db", machine{Name: "db"})
	if err != nil {
		t.Fatal(err)
	}
	at, err := store.Commit(ctx, update, create)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"web", "db"} {
		if object, err := all.Get(ctx, name); err != nil || object.Revision != at {
			t.Errorf("%s is at %d, %v; want revision %d", name, object.Revision, err, at)
		}
	}
	if _, err := store.Commit(ctx, all.DeleteOp("db", 0), all.DeleteOp("web", web.Revision)); !errors.Is(err, state.ErrConflict) {
		t.Errorf("got %v, not a conflict", err)
	}
	if _, err := all.Get(ctx, "db"); err != nil {
		t.Errorf("a failed commit deleted db: %v", err)
	}
}

func TestUpdateKeepsUnknownFields(t *testing.T) {
	tests := map[string]struct {
		stored string
		change func(*machine)
		want   string
	}{
		"top level":                        {`{"name":"a","new":[1,2]}`, func(m *machine) { m.CPUs = 2 }, `{"cpus":2,"name":"a","new":[1,2]}`},
		"number keeps its digits":          {`{"name":"a","new":12345678901234567890.10}`, func(m *machine) { m.CPUs = 2 }, `{"cpus":2,"name":"a","new":12345678901234567890.10}`},
		"nested object":                    {`{"name":"a","boot":{"kernel":"k","new":true}}`, func(m *machine) { m.Boot.Kernel = "l" }, `{"boot":{"kernel":"l","new":true},"name":"a"}`},
		"object removed on purpose":        {`{"name":"a","boot":{"kernel":"k","new":true}}`, func(m *machine) { m.Boot = nil }, `{"name":"a"}`},
		"known field removed":              {`{"name":"a","cpus":3,"new":1}`, func(m *machine) { m.CPUs = 0 }, `{"name":"a","new":1}`},
		"map entry removed":                {`{"name":"a","labels":{"x":"1","y":"2"},"new":1}`, func(m *machine) { delete(m.Labels, "x") }, `{"labels":{"y":"2"},"name":"a","new":1}`},
		"unchanged element of an array":    {`{"name":"a","drives":[{"path":"p","new":1}]}`, func(m *machine) { m.CPUs = 1 }, `{"cpus":1,"drives":[{"new":1,"path":"p"}],"name":"a"}`},
		"array elements moved":             {`{"name":"a","drives":[{"path":"p","new":1},{"path":"q"}]}`, func(m *machine) { m.Drives[0], m.Drives[1] = m.Drives[1], m.Drives[0] }, `{"drives":[{"path":"q"},{"new":1,"path":"p"}],"name":"a"}`},
		"array element added":              {`{"name":"a","drives":[{"path":"p","new":1}]}`, func(m *machine) { m.Drives = append(m.Drives, drive{Path: "q"}) }, `{"drives":[{"new":1,"path":"p"},{"path":"q"}],"name":"a"}`},
		"array element removed":            {`{"name":"a","drives":[{"path":"p","new":1},{"path":"q"}]}`, func(m *machine) { m.Drives = m.Drives[1:] }, `{"drives":[{"path":"q"}],"name":"a"}`},
		"element without unknowns changed": {`{"name":"a","drives":[{"path":"p","new":1},{"path":"q"}]}`, func(m *machine) { m.Drives[1].Path = "r" }, `{"drives":[{"new":1,"path":"p"},{"path":"r"}],"name":"a"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := change(t, test.stored, test.change)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sorted(t, test.want), sorted(t, got)); diff != "" {
				t.Errorf("stored value (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUpdateRefusesToLoseUnknownFields(t *testing.T) {
	_, err := change(t, `{"name":"a","drives":[{"path":"p","new":1}]}`, func(m *machine) { m.Drives[0].Path = "q" })
	var unknown *state.UnknownFieldsError
	if !errors.As(err, &unknown) || unknown.Key != "machines/a" || unknown.Path != "drives" {
		t.Errorf("got %v, want an UnknownFieldsError on drives of machines/a", err)
	}
}

// change stores JSON, changes it through the collection, once with the object as
// read and once with one made by hand, and returns the JSON stored then.
func change(t *testing.T, stored string, alter func(*machine)) (string, error) {
	t.Helper()
	ctx := t.Context()
	all, store := machines(t)
	put(t, store, "machines/a", stored)
	object, err := all.Get(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	alter(&object.Value)
	byHand, errByHand := all.UpdateOp(ctx, state.Object[machine]{Key: object.Key, Revision: object.Revision, Value: object.Value})
	_, err = all.Update(ctx, object)
	if (err == nil) != (errByHand == nil) {
		t.Fatalf("an object made by hand gives %v, the one read %v", errByHand, err)
	}
	if err != nil {
		return "", err
	}
	entry, err := store.Get(ctx, "machines/a")
	if err != nil {
		t.Fatal(err)
	}
	if string(entry.Value) != string(byHand.Value) {
		t.Errorf("an object made by hand is stored as %s, the one read as %s", byHand.Value, entry.Value)
	}
	return string(entry.Value), nil
}

// sorted returns JSON with members in order and numbers as written.
func sorted(t *testing.T, text string) string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestListReturnsGoodObjectsBesideBadOnes(t *testing.T) {
	all, store := machines(t)
	put(t, store, "machines/a", `{"name":"a"}`)
	put(t, store, "machines/b", `{"name":`)
	at := put(t, store, "machines/c", `{"name":"c"}`)
	objects, revision, err := all.List(t.Context())
	var bad *state.DecodeError
	if !errors.As(err, &bad) || bad.Key != "machines/b" || !errors.Is(err, state.ErrUndecodable) {
		t.Errorf("error is %v, want a DecodeError of machines/b", err)
	}
	if len(objects) != 2 || revision != at {
		t.Errorf("got %d objects at revision %d, want 2 at %d", len(objects), revision, at)
	}
}

func TestCollectionWatch(t *testing.T) {
	ctx := t.Context()
	all, store := machines(t)
	from, err := store.Revision(ctx)
	if err != nil {
		t.Fatal(err)
	}
	object, err := all.Create(ctx, "a", machine{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	put(t, store, "machines/bad", `[`)
	if err := all.Delete(ctx, "a", object.Revision); err != nil {
		t.Fatal(err)
	}
	var events []state.Event[machine]
	for event, err := range all.Watch(ctx, from) {
		if (err != nil) != (event.Object.Key == "bad") || err != nil && !errors.Is(err, state.ErrUndecodable) {
			t.Fatalf("event of %q came with error %v", event.Object.Key, err)
		}
		if events = append(events, event); len(events) == 3 {
			break
		}
	}
	last := events[2]
	if last.Kind != state.KindDeleted || last.Object.Key != "a" || last.Previous == nil || last.Previous.Value.Name != "a" || !last.Last {
		t.Errorf("deletion came as %+v", last)
	}
}

func TestModifyTriesAgainAfterAConflict(t *testing.T) {
	ctx := t.Context()
	all, _ := machines(t)
	if _, err := all.Create(ctx, "a", machine{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	calls := 0
	object, err := all.Modify(ctx, "a", func(m *machine) error {
		if calls++; calls == 1 {
			interfere(ctx, t, all)
		}
		m.CPUs++
		return nil
	})
	if err != nil || calls != 2 || object.Value.CPUs != 11 {
		t.Errorf("after %d calls: %+v, %v; want 11 CPUs after 2", calls, object.Value, err)
	}
	refuse := errors.New("refused")
	if _, err := all.Modify(ctx, "a", func(*machine) error { return refuse }); !errors.Is(err, refuse) {
		t.Errorf("the change's own error became %v", err)
	}
}

func interfere(ctx context.Context, t *testing.T, all *state.Collection[machine]) {
	t.Helper()
	other, err := all.Get(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	other.Value.CPUs = 10
	if _, err := all.Update(ctx, other); err != nil {
		t.Fatal(err)
	}
}
