package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/panalvm/panal/api"
)

func drawSummary(t *rapid.T) api.Summary {
	return api.Summary{
		UUID: rapid.String().Draw(t, "uuid"), Name: rapid.String().Draw(t, "name"),
		Revision: rapid.Int64().Draw(t, "revision"),
		State:    api.State(rapid.String().Draw(t, "state")),
		// RFC 3339 has years of four digits, and zones of whole minutes.
		Since: time.Unix(rapid.Int64Range(-60e9, 250e9).Draw(t, "seconds"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).
			In(time.FixedZone("", 60*rapid.IntRange(-1000, 1000).Draw(t, "zone"))),
		Architecture: api.Architecture(rapid.String().Draw(t, "architecture")),
		CPUs:         rapid.Int().Draw(t, "cpus"), Memory: api.Size(rapid.Int64().Draw(t, "memory")),
		Autostart:   rapid.Bool().Draw(t, "autostart"),
		Labels:      rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "labels"),
		Description: rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~\x00-\x1f<>&"\\é]*`)).Draw(t, "description"),
	}
}

// TestListIsWhatJSONWouldBe holds the encoder of our own against Go's.
func TestListIsWhatJSONWouldBe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		machines := api.MachineList{Revision: rapid.Int64().Draw(t, "revision"), Machines: list(rapid.SliceOf(rapid.Custom(drawSummary)).Draw(t, "machines"))}
		var got, want bytes.Buffer
		if err := writeMachineList(&got, machines); err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(&want).Encode(machines); err != nil {
			t.Fatal(err)
		}
		var gotValue, wantValue any
		if err := json.Unmarshal(got.Bytes(), &gotValue); err != nil {
			t.Fatalf("not JSON: %v\n%s", err, got.Bytes())
		}
		if err := json.Unmarshal(want.Bytes(), &wantValue); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wantValue, gotValue); diff != "" {
			t.Fatalf("-Go's +ours:\n%s", diff)
		}
	})
}

func fullSummary(i int) api.Summary {
	return api.Summary{
		UUID: fmt.Sprintf("5b7d1f0e-7a60-4d2b-9d55-%012d", i+1), Name: fmt.Sprintf("machine-%05d", i+1), Revision: int64(i + 1),
		State: api.StateRunning, Since: when, Architecture: api.X8664, CPUs: 2, Memory: 2 * api.GiB, Autostart: true,
		Labels: map[string]string{"site": "here", "role": "web server"}, Description: "the machine of the benchmark",
	}
}

// TestListHasEveryField fails when api.Summary gets a field that the encoder
// does not know.
func TestListHasEveryField(t *testing.T) {
	full := fullSummary(0)
	for value, i := reflect.ValueOf(full), 0; i < value.NumField(); i++ {
		if value.Field(i).IsZero() {
			t.Fatalf("the test does not fill %s", value.Type().Field(i).Name)
		}
	}
	var text bytes.Buffer
	want := api.MachineList{Revision: 9, Machines: []api.Summary{full, full}}
	if err := writeMachineList(&text, want); err != nil {
		t.Fatal(err)
	}
	var got api.MachineList
	if err := json.Unmarshal(text.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestListOfATimeThatCannotBeWritten(t *testing.T) {
	machines := api.MachineList{Machines: []api.Summary{{Name: "old", Since: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}}}
	if err := writeMachineList(io.Discard, machines); err == nil {
		t.Error("no error")
	}
}

func TestSizePatternTakesWhatParseSizeTakes(t *testing.T) {
	fake := &fakeServices{}
	h := New(fake.services(), Options{})
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.StringMatching(`[ ]?[-+]?[0-9]{0,4}[.]?[0-9]{0,2}[ ]?[EPTGMKtgmkXx_]?[ ]?[iI]?[bB]?[ ]?`).Draw(t, "size")
		body, err := json.Marshal(map[string]any{"spec": map[string]any{"memory": map[string]any{"size": size}}})
		if err != nil {
			t.Fatal(err)
		}
		_, parseErr := api.ParseSize(size)
		status := do(h, "POST", "/v1/machines", string(body)).StatusCode
		if (parseErr == nil) != (status == http.StatusAccepted) {
			t.Fatalf("size %q: ParseSize says %v, the server %d", size, parseErr, status)
		}
	})
}

func manyMachines(n int) api.MachineList {
	machines := api.MachineList{Revision: int64(n)}
	for i := range n {
		machines.Machines = append(machines.Machines, fullSummary(i))
	}
	return machines
}

// BenchmarkList10000 is a whole request of 10,000 machines, over a Unix socket.
func BenchmarkList10000(b *testing.B) {
	fake := &fakeServices{list: manyMachines(10_000)}
	client, stop := serveUnix(b, New(fake.services(), Options{}))
	defer stop()
	b.ReportAllocs()
	for b.Loop() {
		r, err := client.Get("http://panal/v1/machines")
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			b.Fatal(err, r.StatusCode)
		}
		r.Body.Close()
		b.SetBytes(n)
		fake.called()
	}
}

// BenchmarkList10000Handler is the same without the socket.
func BenchmarkList10000Handler(b *testing.B) {
	fake := &fakeServices{list: manyMachines(10_000)}
	h := New(fake.services(), Options{})
	r := httptest.NewRequest("GET", "/v1/machines", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(discarder{http.Header{}}, r)
		fake.called()
	}
}

// BenchmarkList10000JSON is what encoding/json would take.
func BenchmarkList10000JSON(b *testing.B) {
	machines := manyMachines(10_000)
	b.ReportAllocs()
	for b.Loop() {
		if err := json.NewEncoder(io.Discard).Encode(machines); err != nil {
			b.Fatal(err)
		}
	}
}
