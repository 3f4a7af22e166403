package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/panalvm/panal/api"
)

// openAPIPath is where the description of the interface is.
const openAPIPath = "/openapi.json"

// schemaPrefix is where huma looks for a referred schema.
const schemaPrefix = "#/components/schemas/"

// config is huma's, without what it would add of its own: pages that load
// programs from elsewhere, and $schema in every object.
func config(version string) huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "Panal",
				Version:     version,
				Description: "Virtual machines on Linux. Errors are RFC 9457 problems whose kind is stable and meant for programs.",
			},
			Components: &huma.Components{Schemas: registry()},
		},
		Formats:                      map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// operation describes an operation of the table.
func operation(op api.Operation) huma.Operation {
	group, _, _ := strings.Cut(strings.TrimPrefix(op.Path, "/"+api.Version+"/"), "/")
	group, _, _ = strings.Cut(group, ":")
	if op.Path == api.GetInfo.Path {
		group = "host"
	}
	return huma.Operation{
		OperationID:     op.ID,
		Method:          op.Method,
		Path:            op.Path,
		Summary:         op.Summary,
		Tags:            []string{group},
		BodyReadTimeout: -1, // readBody has read it already, within its own time
		MaxBodyBytes:    maxBody + 1,
	}
}

// describe serves the description, written once.
func describe(mux *http.ServeMux, h huma.API) {
	text, err := json.Marshal(h.OpenAPI())
	if err != nil {
		panic(fmt.Sprintf("write the OpenAPI description: %v", err)) // a schema of ours is wrong: every test sees it
	}
	mux.HandleFunc("GET "+openAPIPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = w.Write(text)
	})
}

// response describes an answer that is not a JSON object.
type response struct {
	description string
	mediaType   string       // empty for none
	object      reflect.Type // what the media type carries, nil for bytes
}

// responses are the answers of an operation by status.
type responses map[int]response

// with is the responses in huma's words, and the problem that every operation
// can answer with.
func (rs responses) with(h huma.API) map[string]*huma.Response {
	described := map[string]*huma.Response{"default": {
		Description: "Error",
		Content:     map[string]*huma.MediaType{problemType: {Schema: schemaOf(h, reflect.TypeFor[api.Problem]())}},
	}}
	for status, r := range rs {
		one := &huma.Response{Description: r.description}
		if r.mediaType != "" {
			one.Content = map[string]*huma.MediaType{r.mediaType: {Schema: schemaOf(h, r.object)}}
		}
		described[strconv.Itoa(status)] = one
	}
	return described
}

func schemaOf(h huma.API, t reflect.Type) *huma.Schema {
	if t == nil {
		return &huma.Schema{Type: huma.TypeString, Format: "binary"}
	}
	return h.OpenAPI().Components.Schemas.Schema(t, true, t.Name())
}
