package queue

import (
	"reflect"
	"strconv"
	"testing"
	"time"
)

func TestOpen(t *testing.T) {
	for _, bad := range []string{"http://x", "redis://h:1/notanumber", "::"} {
		if r, err := Open(t.Context(), bad, discard); err == nil {
			r.Close()
			t.Errorf("%q opened", bad)
		}
	}
	r, err := Open(t.Context(), "", discard)
	if err != nil || !r.Embedded() || r.Ping(t.Context()) != nil {
		t.Fatalf("embedded: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error("second close:", err)
	}
	if r.Ping(t.Context()) == nil {
		t.Error("answers after Close")
	}
	// A Redis that is away, in each of its forms, is no error.
	for _, url := range []string{
		"redis://127.0.0.1:1/0?max_retries=-1", "redis://127.0.0.1:1?addr=127.0.0.1:2&max_redirects=1",
		"redis://127.0.0.1:1?master_name=m&max_retries=-1",
	} {
		r, err := Open(t.Context(), url, discard)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if r.Embedded() {
			t.Error("embedded")
		}
		r.Close()
	}
}

func TestEmbeddedRedisForgetsKeys(t *testing.T) {
	r, err := Open(t.Context(), "", discard)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	db := r.mini.DB(0)
	count := func() int {
		r.mini.Lock()
		defer r.mini.Unlock()
		return len(*versions(reflect.ValueOf(db).Elem()))
	}
	pipe := r.Client().Pipeline()
	for i := range maxVersions + 1 {
		pipe.Set(t.Context(), strconv.Itoa(i), "", time.Hour)
		pipe.Del(t.Context(), strconv.Itoa(i))
		if i%5000 == 0 {
			if _, err := pipe.Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "gone keys are forgotten", func() bool { return count() < maxVersions/2 })
}
