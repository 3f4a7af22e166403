package server

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
)

var update = flag.Bool("update", false, "renew the golden files")

// described is as much of an OpenAPI description as the tests look at.
type described struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		OperationID string         `json:"operationId"`
		Summary     string         `json:"summary"`
		Responses   map[string]any `json:"responses"`
		Parameters  []struct {
			Name string `json:"name"`
			In   string `json:"in"`
		} `json:"parameters"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]struct {
			Properties map[string]map[string]any `json:"properties"`
		} `json:"schemas"`
	} `json:"components"`
}

func description(t *testing.T) (described, []byte) {
	t.Helper()
	r := do(New((&fakeServices{}).services(), Options{Version: "test"}), "GET", openAPIPath, "")
	body := text(t, r)
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("status %d, header %v", r.StatusCode, r.Header)
	}
	var d described
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Fatal(err)
	}
	return d, []byte(body)
}

func TestOpenAPIGolden(t *testing.T) {
	_, body := description(t)
	var got bytes.Buffer
	if err := json.Indent(&got, body, "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	const golden = "testdata/openapi.json"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the description has changed; renew %s with -update if that was meant (-want +got):\n%s", golden, diff)
	}
}

// source is the parsed Go file that declares part of package api.
func source(t *testing.T, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../api/"+name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// table is every api.Operation there is, by its ID, found in the source because
// Go cannot list variables.
func table(t *testing.T) map[string]api.Operation {
	t.Helper()
	found := map[string]api.Operation{}
	ast.Inspect(source(t, "operations.go"), func(n ast.Node) bool {
		literal, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		if name, ok := literal.Type.(*ast.Ident); !ok || name.Name != "Operation" {
			return true
		}
		var fields []string
		for _, element := range literal.Elts {
			value, err := strconv.Unquote(element.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			fields = append(fields, value)
		}
		found[fields[0]] = api.Operation{ID: fields[0], Method: fields[1], Path: fields[2], Summary: fields[3]}
		return true
	})
	return found
}

// constants is the value of every string constant of a type in a file of
// package api.
func constants(t *testing.T, file, typeName string) []string {
	t.Helper()
	var found []string
	ast.Inspect(source(t, file), func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); typeName != "" && (!ok || name.Name != typeName) {
			return true
		}
		for _, value := range spec.Values {
			if literal, ok := value.(*ast.BasicLit); ok {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, text)
			}
		}
		return true
	})
	// EventType's constants name their type; all of them are found or none.
	if len(found) == 0 {
		t.Fatalf("%s declares no constants of type %s", file, typeName)
	}
	return found
}

func TestEveryOperationAndNoOther(t *testing.T) {
	want := table(t)
	if len(want) < 25 {
		t.Fatalf("only %d operations found in package api", len(want))
	}
	d, _ := description(t)
	if d.OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI %s", d.OpenAPI)
	}
	got := map[string]api.Operation{}
	for path, methods := range d.Paths {
		for method, op := range methods {
			got[op.OperationID] = api.Operation{ID: op.OperationID, Method: strings.ToUpper(method), Path: path, Summary: op.Summary}
			if op.Responses["default"] == nil || len(op.Responses) != 2 {
				t.Errorf("%s describes the responses %v", op.OperationID, op.Responses)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("described operations (-table +described):\n%s", diff)
	}
	for id := range want {
		if id != api.AttachConsole.ID && id != api.AttachDisplay.ID && id != api.ImportStream.ID && id != api.PlanImportStream.ID &&
			!slices.ContainsFunc(operations, func(o operationCase) bool { return o.op.ID == id }) {
			t.Errorf("no test asks for %s", id)
		}
	}
}

func TestQueryParametersAreTheTables(t *testing.T) {
	d, _ := description(t)
	var got []string
	for _, methods := range d.Paths {
		for _, op := range methods {
			for _, parameter := range op.Parameters {
				if parameter.In == "query" {
					got = append(got, parameter.Name)
				}
			}
		}
	}
	var want []string
	for _, name := range constants(t, "operations.go", "") {
		if !strings.Contains(name, "/") {
			want = append(want, name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("query parameters (-table +described):\n%s", diff)
	}
}

func TestEnumerationsAreWhole(t *testing.T) {
	d, _ := description(t)
	schemas := d.Components.Schemas
	for _, test := range []struct{ schema, property, file, typeName string }{
		{"Problem", "kind", "problem.go", "Kind"},
		{"Event", "type", "event.go", "EventType"},
		{"Event", "from", "machine.go", "State"},
		{"Summary", "state", "machine.go", "State"},
	} {
		var got []string
		values, _ := schemas[test.schema].Properties[test.property]["enum"].([]any)
		for _, value := range values {
			got = append(got, value.(string))
		}
		if diff := cmp.Diff(constants(t, test.file, test.typeName), got); diff != "" {
			t.Errorf("%s.%s (-constants +described):\n%s", test.schema, test.property, diff)
		}
	}
	for _, kind := range constants(t, "problem.go", "Kind") {
		if problem.Status(api.Kind(kind)) < 400 {
			t.Errorf("the kind %q has no status", kind)
		}
	}
}

func TestDescriptionStandsAlone(t *testing.T) {
	_, body := description(t)
	for _, word := range []string{"$schema", "http://", "https://", `"Failure"`} {
		if bytes.Contains(body, []byte(word)) {
			t.Errorf("the description holds %s", word)
		}
	}
	h := New((&fakeServices{}).services(), Options{})
	for _, path := range []string{"/docs", "/schemas/Machine.json", "/openapi.yaml"} {
		if p := problemOf(t, do(h, "GET", path, "")); p.Kind != api.KindNotFound {
			t.Errorf("%s: %s", path, p.Kind)
		}
	}
}
