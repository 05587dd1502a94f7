package workers

import (
	"fmt"
	"log/slog"

	_ "github.com/firmlight/firmlight/internal/live"
	_ "github.com/firmlight/firmlight/protocol"
)

func x() { fmt.Println("x"); slog.Info("x") }
