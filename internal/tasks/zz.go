package tasks

import (
	"net/http"
	_ "log"

	_ "github.com/redis/go-redis/v9"
	_ "github.com/firmlight/firmlight/internal/newpkg"
)

var _ = http.MethodGet
