package sqlite

import (
	"testing"

	"github.com/firmlight/firmlight/internal/audit"
	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/notify"
	"github.com/firmlight/firmlight/internal/store/storetest"
)

func TestAuthStore(t *testing.T) {
	storetest.Auth(t, func(t *testing.T) auth.Store { return openTest(t) })
}

func TestGroupStore(t *testing.T) {
	storetest.Groups(t, func(t *testing.T) storetest.GroupStore { return openTest(t) })
}

func TestAuditStore(t *testing.T) {
	storetest.Audit(t, func(t *testing.T) audit.Store { return openTest(t) })
}

func TestNotificationStore(t *testing.T) {
	storetest.Notify(t, func(t *testing.T) notify.Store { return openTest(t).Notifications() })
}
