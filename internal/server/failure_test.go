package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/api"
)

func TestRequestsThatAreNotValid(t *testing.T) {
	const create, change = "POST /v1/machines", "PATCH /v1/machines/web"
	for _, test := range []struct {
		name, request, body string
		want                []string // field: message
	}{
		{"typing error in the spec", create, `{"spec":{"nmae":"x","cpu":{"coutn":1}}}`, []string{"cpu.coutn: there is no such field", "nmae: there is no such field"}},
		{"typing error beside the spec", create, `{"disk":[]}`, []string{"disk: there is no such field"}},
		{"another case", create, `{"Spec":{}}`, []string{"Spec: there is no such field"}},
		{"wrong types", create, `{"spec":{"name":1,"cpu":{"count":"2"},"drives":[{"name":"a"},{"name":true,"port":1.5}]}}`, []string{
			"cpu.count: expected integer", "drives[1].name: expected string", "drives[1].port: expected integer", "name: expected string",
		}},
		{"not of the enumeration", create, `{"spec":{"architecture":"i386"}}`, []string{`architecture: expected value to be one of "x86_64, aarch64, riscv64"`}},
		{"missing", create, `{"spec":{"controllers":[{"name":"sata0"}]}}`, []string{"controllers[0].type: is missing"}},
		{"a size that is none", create, `{"spec":{"memory":{"size":"lots"}}}`, []string{`memory.size: expected a size: bytes, or a string such as "512M"`}},
		{"a negative size", create, `{"spec":{"memory":{"size":-1}}}`, []string{`memory.size: expected a size: bytes, or a string such as "512M"`}},
		{"a broken size", create, `{"spec":{"memory":{"size":"0.3"}}}`, []string{`: size "0.3" is not a whole number of bytes`}},
		{"a number too large", create, `{"spec":{"cpu":{"count":1e300}}}`, []string{": spec.cpu.count: a number 1e300 does not fit here"}},
		{"below the least", "POST /v1/machines/web/shutdown", `{"timeout":-1}`, []string{"timeout: expected number >= 0"}},
		{"no revision", "PUT /v1/machines/web", `{"spec":{}}`, []string{"revision: is missing"}},
		{"null for a list", change, `{"set":null}`, []string{"set: expected array"}},
		{"no object", change, `[]`, []string{": expected object"}},
		{"no JSON", change, `{"set":`, []string{": unexpected end of JSON input"}},
		{"two objects", change, `{"set":[]} {}`, []string{": invalid character '{' after top-level value"}},
		{"no body", change, ``, nil},
		{"unknown parameter", "GET /v1/machines?lable=a", ``, []string{"lable: there is no such parameter"}},
		{"unknown state", "GET /v1/machines?state=on", ``, []string{`state: expected value to be one of "off, starting, running, paused, stopping, saving, saved"`}},
		{"no number", "GET /v1/machines/web/log?tail=x", ``, []string{"tail: invalid integer"}},
		{"broken query", "GET /v1/machines?%zz", ``, nil},
		{"unknown id", "GET /v1/events?since=x", ``, []string{"since: invalid integer"}},
		{"negative tail", "GET /v1/machines/web/log?tail=-1", ``, []string{"tail: expected number >= 0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := &fakeServices{}
			method, target, _ := strings.Cut(test.request, " ")
			p := problemOf(t, do(New(fake.services(), Options{}), method, target, test.body))
			var got []string
			for _, e := range p.Errors {
				got = append(got, e.Field+": "+e.Message)
			}
			if diff := cmp.Diff(test.want, got); diff != "" || p.Kind != api.KindInvalid {
				t.Errorf("kind %s, fields (-want +got):\n%s", p.Kind, diff)
			}
			if calls := fake.called(); calls != "" {
				t.Errorf("the service was called: %s", calls)
			}
		})
	}
}

func TestManyErrorsAreCut(t *testing.T) {
	body := map[string]int{strings.Repeat("x", 5000): 1}
	for i := range 10_000 {
		body[fmt.Sprint(i)] = i
	}
	sent, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r := do(New((&fakeServices{}).services(), Options{}), "POST", "/v1/machines", string(sent))
	p := problemOf(t, r)
	if got := len(p.Errors); got != maxFieldErrors+1 || p.Errors[maxFieldErrors].Message != "and 9901 more" {
		t.Errorf("%d errors, the last %v", got, p.Errors[got-1])
	}
}

func TestWrongMediaType(t *testing.T) {
	fake := &fakeServices{}
	r, err := http.NewRequest("POST", "/v1/machines", strings.NewReader("spec=x"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p := problemOf(t, send(New(fake.services(), Options{}), r)); p.Kind != api.KindInvalid || fake.called() != "" {
		t.Errorf("kind %s", p.Kind)
	}
}
