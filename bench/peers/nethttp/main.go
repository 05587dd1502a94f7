// Nethttp is the limit that net/http sets: it decodes the event and answers, and
// neither checks nor keeps it.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

type event struct {
	DeviceID   string    `json:"device_id"`
	Timestamp  time.Time `json:"timestamp"`
	Files      int64     `json:"total_files_synced"`
	Errors     int64     `json:"total_errors"`
	Speed      float64   `json:"internet_speed"`
	EventID    string    `json:"event_id,omitempty"`
	ReceivedAt time.Time `json:"received_at"`
}

func main() {
	http.HandleFunc("POST /api/sync-event", func(w http.ResponseWriter, r *http.Request) {
		var e event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		e.ReceivedAt = time.Now().UTC()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(e) // an error: the peer has gone
	})
	server := http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintln(os.Stderr, server.ListenAndServe())
	os.Exit(1)
}
