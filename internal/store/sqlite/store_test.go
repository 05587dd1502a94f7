package sqlite

import (
	"testing"

	"github.com/firmlight/firmlight/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(tb testing.TB) storetest.Stores {
		db := openTest(tb)
		return storetest.Stores{Tasks: db, Payloads: db, Stats: db, Sessions: db.Sessions(), Cluster: db}
	})
}
