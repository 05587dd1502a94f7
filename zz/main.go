package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/store/sqlite"
	"github.com/firmlight/firmlight/internal/tasks"
)

func main() {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, os.Args[1], slog.Default())
	if err != nil {
		panic(err)
	}
	group, user := os.Args[2], os.Args[3]
	began := time.Now()
	for i := 0; i < 1_000_000; i += 1000 {
		news := make([]tasks.New, 1000)
		for j := range news {
			now := time.Now().UTC().Truncate(time.Millisecond)
			n := i + j
			news[j] = tasks.New{Input: []byte(`{"n":1}`), Task: tasks.Task{
				ID: uuid.Must(uuid.NewV7()).String(), Group: group, Kind: "load", Title: fmt.Sprintf("Frame%d of scene%04d in film%02d, rendered", n, n%10_000, n%100),
				CreatedBy: user, Priority: tasks.Normal, Status: tasks.Queued, CreatedAt: now, RunAt: now,
				MaxAttempts: 3, MaxReassignments: 5, Timeout: time.Minute, InBytes: 7,
			}}
		}
		if _, err := db.Insert(ctx, news...); err != nil {
			panic(err)
		}
		if i%100000 == 0 {
			fmt.Println(i, time.Since(began))
		}
	}
	fmt.Println(time.Since(began), db.Close())
}
