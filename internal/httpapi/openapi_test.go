package httpapi

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestOpenAPIIsStable(t *testing.T) {
	first, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		again, err := OpenAPI()
		if err != nil || !bytes.Equal(first, again) {
			t.Fatalf("differs from run to run (%v)", err)
		}
	}
	var doc struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]any
	}
	if err := json.Unmarshal(first, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || doc.Paths["/api/v1/auth/login"] == nil {
		t.Errorf("openapi %q with %d paths", doc.OpenAPI, len(doc.Paths))
	}
}
