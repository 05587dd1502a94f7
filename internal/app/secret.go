package app

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/firmlight/firmlight/internal/backup"
	"github.com/firmlight/firmlight/internal/config"
)

const secretBytes = 32

// secretOf returns what tokens are signed with: the configured secret, else the
// one in the data directory, made there at the first start with mode 0600.
func secretOf(cfg config.Config) ([]byte, error) {
	if cfg.Secret != "" {
		return []byte(cfg.Secret), nil
	}
	file := filepath.Join(cfg.DataDir, backup.SecretFile)
	secret, err := os.ReadFile(file)
	if err == nil && len(secret) >= secretBytes {
		return secret, nil
	}
	if err == nil {
		return nil, fmt.Errorf("%s is damaged; remove it, and everybody has to log in again", file)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	secret = []byte(rand.Text() + rand.Text())
	return secret, writeDurably(file, secret)
}

// writeDurably writes a file that only its owner reads, whole or not at all.
func writeDurably(file string, data []byte) error {
	tmp := file + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}
