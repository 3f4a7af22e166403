// Package server is Panal's HTTP interface: it decodes a request, calls a
// service and encodes the answer, and knows nothing else. The routes are the
// table in package api; the OpenAPI 3.1 description at /openapi.json is made
// from the same types.
package server
