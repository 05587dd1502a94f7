package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/httpapi"
)

// TestSetupPage follows the one-time link of the log as a browser does.
func TestSetupPage(t *testing.T) {
	s := newSite(t, func(o *auth.Options, _ *httpapi.Deps) { o.Registration = false })
	code, err := s.auth.PrepareAdmin(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	send := func(method string, form url.Values) (int, string) {
		r := httptest.NewRequest(method, "/setup?code="+code, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		s.api.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if status, page := send("GET", nil); status != http.StatusOK || !strings.Contains(page, `value="`+code+`"`) {
		t.Fatalf("%d %s", status, page)
	}
	form := url.Values{"code": {code}, "username": {`ro"ot`}, "email": {"root@example.org"}, "password": {password}}
	if status, page := send("POST", form); status != http.StatusUnprocessableEntity || !strings.Contains(page, "alert") || strings.Contains(page, `ro"ot`) {
		t.Fatalf("bad name: %d %s", status, page)
	}
	form.Set("username", "root")
	form.Set("code", "guess")
	if status, page := send("POST", form); status != http.StatusForbidden || strings.Contains(page, password) {
		t.Fatalf("bad code: %d %s", status, page)
	}
	form.Set("code", code)
	if status, page := send("POST", form); status != http.StatusCreated || !strings.Contains(page, "<strong>root</strong>") {
		t.Fatalf("%d %s", status, page)
	}
	if status, _ := send("POST", form); status != http.StatusConflict {
		t.Fatalf("used twice: %d", status)
	}
	form.Set("email", strings.Repeat("x", 9<<10))
	if status, _ := send("POST", form); status != http.StatusRequestEntityTooLarge {
		t.Fatalf("too large: %d", status)
	}
}
